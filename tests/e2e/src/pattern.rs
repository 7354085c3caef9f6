// SPDX-License-Identifier: MIT
//! Test patterns in which a loss is visible: both ends can generate them, no two
//! parts are alike, and every byte value occurs.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::console::LEAVE;

/// Length of a line of [`text`], including its end.
const LINE: usize = 80;

/// The length of a transfer: 64 KiB.
pub const LEN: usize = 64 * 1024;

/// `len` bytes of a xorshift sequence, from `seed`.
#[must_use]
pub fn bytes(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[2]
    };
    (0..len).map(|_| next()).collect()
}

/// The same as typical console output: text, in lines of 80 bytes.
#[must_use]
pub(crate) fn text(seed: u32, len: usize) -> Vec<u8> {
    let mut text = bytes(seed, len);
    for (at, byte) in text.iter_mut().enumerate() {
        *byte = match at % LINE {
            last if last + 1 == LINE => b'\n',
            _ => b' ' + *byte % 95,
        };
    }
    text
}

/// The key that means SysRq to Linux on hvc0: ^O.
const SYSRQ: u8 = 0x0f;

/// The same without the bytes that have a meaning to the client or the kernel.
#[must_use]
pub(crate) fn typeable(seed: u32, len: usize) -> Vec<u8> {
    let mut bytes = bytes(seed, len);
    for byte in &mut bytes {
        if [LEAVE, SYSRQ].contains(byte) {
            *byte = b'!';
        }
    }
    bytes
}

/// The output of `seq LAST`, with `end` at the end of each line.
#[must_use]
pub(crate) fn numbers(last: usize, end: &str) -> String {
    (1..=last).fold(String::new(), |text, n| text + &n.to_string() + end)
}

/// The SHA-256 sum in hexadecimal, as `sha256sum` prints it.
#[must_use]
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Describes the difference of two byte strings, or that they are equal.
pub(crate) fn difference(seen: &[u8], wanted: &[u8]) -> String {
    match seen.iter().zip(wanted).position(|(a, b)| a != b) {
        Some(at) => format!("{} bytes, differs at {at}", seen.len()),
        None if seen.len() == wanted.len() => {
            format!("{} bytes, sha256 {}", seen.len(), sha256(seen))
        }
        None => format!("{} bytes, wanted {}", seen.len(), wanted.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_value_occurs_and_seeds_differ() {
        let a = bytes(1, LEN);
        assert_eq!(
            a.iter().collect::<std::collections::BTreeSet<_>>().len(),
            256
        );
        assert_ne!(a, bytes(2, LEN));
        assert_eq!(a, bytes(1, LEN));
    }

    #[test]
    fn typed_bytes_have_no_escape_and_no_sysrq_key() {
        assert!(
            !typeable(1, LEN)
                .iter()
                .any(|byte| [0x1d, 0x0f].contains(byte))
        );
        assert_eq!(typeable(1, LEN).len(), LEN);
    }

    #[test]
    fn the_sum_is_sha256() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn a_difference_is_named() {
        assert_eq!(difference(b"abc", b"abd"), "3 bytes, differs at 2");
        assert_eq!(difference(b"ab", b"abd"), "2 bytes, wanted 3");
    }
}
