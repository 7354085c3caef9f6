// SPDX-License-Identifier: MIT
//! What bytes from outside are refused for.

use core::fmt;

/// The layout written here. Those before it are read, those after it refused.
pub const VERSION: u16 = 3;

/// Why bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// Not a snapshot of this kind of UART, or of another length.
    Format,
    /// A layout newer than [`VERSION`], or none.
    Version(u16),
    /// A value that the named field never has.
    Field(&'static str),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => f.write_str("not a PL011 snapshot"),
            Self::Version(version) => write!(f, "snapshot version {version}, not 1 to {VERSION}"),
            Self::Field(field) => write!(f, "impossible value in {field}"),
        }
    }
}

impl core::error::Error for Invalid {}

pub(super) fn check(holds: bool, field: &'static str) -> Result<(), Invalid> {
    holds.then_some(()).ok_or(Invalid::Field(field))
}

/// Flags in a byte, the lowest first.
pub(super) fn pack<const N: usize>(flags: [bool; N]) -> u8 {
    let bits = flags.into_iter().rev();
    bits.fold(0, |byte, flag| byte << 1 | u8::from(flag))
}

/// The `N` lowest bits of a byte that has no other.
pub(super) fn unpack<const N: usize>(byte: u8, field: &'static str) -> Result<[bool; N], Invalid> {
    check(u32::from(byte) >> N == 0, field)?;
    Ok(core::array::from_fn(|bit| byte >> bit & 1 == 1))
}
