// SPDX-License-Identifier: MIT
//! Output without escape sequences, for whoever does not trust a guest with
//! the terminal: text, line ends, tabs, backspaces and bells stay.

use vte::{Parser, Perform};

/// Takes escape sequences out of a stream.
#[derive(Default)]
pub(crate) struct Filter(Parser);

impl Filter {
    /// Adds to `into` what may be shown of `bytes`.
    pub(crate) fn pass(&mut self, bytes: &[u8], into: &mut Vec<u8>) {
        self.0.advance(&mut Plain(into), bytes);
    }
}

struct Plain<'a>(&'a mut Vec<u8>);

impl Perform for Plain<'_> {
    fn print(&mut self, letter: char) {
        // C1 controls are control characters too, in eight bits or as UTF-8.
        if !letter.is_control() {
            let mut buffer = [0; 4];
            self.0
                .extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
        }
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\r' | b'\n' | b'\t' | 0x07 | 0x08) {
            self.0.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(bytes: &[u8], cut: usize) -> String {
        let mut filter = Filter::default();
        let mut out = Vec::new();
        for part in bytes.chunks(cut) {
            filter.pass(part, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_stays_and_sequences_go_however_they_are_cut() {
        let bytes =
            "\x1b[1;31mred\x1b[0m\r\n\x1b]0;title\x07a\tb\x08\x1bPq#0\x1b\\gr\u{fc}n\x1bc\0"
                .as_bytes();
        for cut in 1..bytes.len() {
            assert_eq!(
                filtered(bytes, cut),
                "red\r\na\tb\x08gr\u{fc}n",
                "cut every {cut}"
            );
        }
    }

    #[test]
    fn controls_of_eight_bits_do_not_pass() {
        for bytes in [&b"a\x9b2Jb"[..], "a\u{9b}2Jb".as_bytes()] {
            let text = filtered(bytes, 8);
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn a_sequence_without_end_takes_no_memory() {
        let mut filter = Filter::default();
        let mut out = Vec::new();
        filter.pass(b"\x1b]0;", &mut out);
        for _ in 0..100 {
            filter.pass(&[b'x'; 10_000], &mut out);
        }
        assert!(out.is_empty());
        assert!(std::mem::size_of_val(&filter) < 4096);
        filter.pass(b"\x07back", &mut out);
        assert_eq!(out, b"back");
    }
}
