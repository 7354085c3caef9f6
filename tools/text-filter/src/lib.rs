// SPDX-License-Identifier: MIT
//! Removes unsafe control sequences from guests' output: one filter for logs, the
//! journal and the client.
//!
//! The rules:
//!
//! - A sequence that is complete, by ECMA-48 and as terminals parse it, is
//!   removed; [`Policy::Replay`] passes those that terminals do not answer.
//! - A sequence is invalid if a line feed, a byte beyond ASCII or [`HELD_MAX`]
//!   bytes come before its end: its content is shown as text. No text is hidden
//!   for good.
//! - Output is UTF-8 without control characters except those that the policy
//!   keeps: C1 controls are removed too, in eight bits or as UTF-8, and U+FFFD
//!   replaces invalid UTF-8.
//!
//! Bytes that wait for the end of their sequence are [`held`](Filter::held). They
//! have had no effect, so a new filter that starts before them has the same
//! output: logs continue that way after a restart of the daemon.
#![forbid(unsafe_code)]

mod replay;

use vte::{Params, Parser, Perform};

/// Longest sequence in bytes. Clipboards and images are longer, titles and links
/// are not.
pub const HELD_MAX: usize = 4096;

const ENQ: u8 = 0x05;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;

/// The reader of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A file: text, tabs and the ends of lines.
    File,
    /// A terminal that shows untrusted output: bells and backspaces too.
    Terminal,
    /// A terminal that shows old output: everything except what it would answer,
    /// because nothing waits for the answer.
    Replay,
}

impl Policy {
    fn keeps(self, letter: char) -> bool {
        match letter {
            '\t' | '\r' | '\n' => true,
            _ if !letter.is_control() => true,
            '\x07' | '\x08' => self != Self::File,
            '\u{7f}'..='\u{9f}' => false,
            _ => self == Self::Replay && letter != char::from(ENQ),
        }
    }
}

/// Removes control sequences from a stream, which may arrive in any pieces.
pub struct Filter {
    policy: Policy,
    parser: Parser,
    /// An incomplete sequence or character.
    held: Vec<u8>,
}

impl Filter {
    /// A filter at the start of a stream, or between two of its characters.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            parser: Parser::new(),
            held: Vec::new(),
        }
    }

    /// Filters `bytes` into `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        loop {
            if self.held.is_empty() {
                let (run, after) = rest.split_at(plain(rest));
                out.extend_from_slice(run);
                rest = after;
            }
            let Some((byte, after)) = rest.split_first() else {
                return;
            };
            self.push_byte(*byte, out);
            rest = after;
        }
    }

    /// How many of the bytes pushed last are held until more arrive.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Ends the stream: held bytes are shown. With [`Policy::Replay`] they are
    /// passed unchanged, because the terminal continues with the stream itself.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.policy == Policy::Replay {
            out.append(&mut self.held);
            self.parser = Parser::new();
        } else {
            self.release(out);
            // Ends an incomplete character.
            self.push_byte(b'\0', out);
        }
    }

    fn push_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        // An escape within a string that does not begin its terminator begins a
        // sequence: the string has no end.
        if self.held.len() > 1 && self.held.last() == Some(&ESC) && byte != b'\\' {
            self.held.pop();
            self.release(out);
            self.push_byte(ESC, out);
        }
        let within = self.held.first() == Some(&ESC);
        let string = self.is_string();
        match byte {
            b'\n' if within => self.release(out),
            0x80.. if within && !string => self.release(out),
            ESC if within && !string => self.held.clear(),
            _ => {}
        }
        let mut seen = Seen::default();
        self.parser.advance(&mut seen, &[byte]);
        if byte == ESC && !string {
            self.show(&seen, out);
            self.held.clear();
            self.held.push(byte);
        } else if self.held.first() == Some(&ESC) {
            self.held.push(byte);
            if self.is_complete(byte, &seen) {
                self.complete(&seen, out);
            } else if self.held.len() >= HELD_MAX {
                self.release(out);
            }
        } else if seen.count == 0 {
            self.held.push(byte);
        } else {
            self.show(&seen, out);
            self.held.clear();
            // This byte interrupted a character, which was shown, and begins a
            // character itself.
            if (0xc2..=0xf4).contains(&byte) {
                self.held.push(byte);
            }
        }
    }

    /// The byte that determines the kind of the held sequence: controls may come
    /// before it.
    fn kind(&self) -> Option<u8> {
        let after = self.held.get(1..)?;
        after
            .iter()
            .copied()
            .find(|byte| (0x20..0x7f).contains(byte))
    }

    /// Whether what is held is a control string, which ends with ST.
    fn is_string(&self) -> bool {
        matches!(self.kind(), Some(b'P' | b']' | b'X' | b'^' | b'_'))
    }

    fn is_complete(&self, byte: u8, seen: &Seen) -> bool {
        if byte == ESC {
            return false;
        }
        // The parser does not report the end of a malformed control sequence.
        let mut letters = self.held.iter().filter(|byte| matches!(byte, 0x40..=0x7e));
        let ended = letters.next() == Some(&b'[') && letters.next().is_some();
        seen.dispatched || ended || matches!(byte, CAN | SUB)
    }

    /// Applies the policy to a complete sequence.
    fn complete(&mut self, seen: &Seen, out: &mut Vec<u8>) {
        if self.policy == Policy::Replay {
            let passes = if self.is_string() {
                replay::string_passes(&self.held)
            } else {
                seen.passes
            };
            if passes {
                out.extend(
                    self.held
                        .iter()
                        .filter(|byte| **byte >= b' ' || **byte == ESC),
                );
                // A string may end with BEL.
                out.extend(self.held.last().filter(|byte| **byte == 0x07));
            }
        } else if !self.is_string() {
            // Controls within a sequence take effect.
            let kept = |byte: &&u8| **byte < b' ' && self.policy.keeps(char::from(**byte));
            out.extend(self.held.iter().filter(kept));
        }
        self.held.clear();
    }

    /// Shows an invalid sequence as text.
    fn release(&mut self, out: &mut Vec<u8>) {
        if self.held.first() != Some(&ESC) {
            return;
        }
        self.parser = Parser::new();
        for byte in std::mem::take(&mut self.held).split_off(1) {
            self.push_byte(byte, out);
        }
    }

    /// Adds the parser's output outside of sequences.
    fn show(&self, seen: &Seen, out: &mut Vec<u8>) {
        for letter in &seen.letters[..seen.count] {
            if self.policy.keeps(*letter) {
                let mut buffer = [0; 4];
                out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
}

/// The parser's result for one byte.
#[derive(Default)]
struct Seen {
    /// Characters and controls: two if the byte interrupted a character.
    letters: [char; 2],
    count: usize,
    /// A sequence is complete.
    dispatched: bool,
    /// It may be replayed.
    passes: bool,
}

impl Perform for Seen {
    fn print(&mut self, letter: char) {
        self.letters[self.count] = letter;
        self.count += 1;
    }

    fn execute(&mut self, byte: u8) {
        self.print(char::from(byte));
    }

    fn unhook(&mut self) {
        self.dispatched = true;
    }

    fn osc_dispatch(&mut self, _params: &[&[u8]], _bell_terminated: bool) {
        self.dispatched = true;
    }

    fn csi_dispatch(&mut self, params: &Params, between: &[u8], ignore: bool, action: char) {
        self.dispatched = true;
        self.passes = !ignore && replay::control_passes(params, between, action);
    }

    fn esc_dispatch(&mut self, _between: &[u8], ignore: bool, byte: u8) {
        self.dispatched = true;
        self.passes = !ignore && replay::escape_passes(byte);
    }
}

/// Number of bytes before the first that is not printable ASCII, a tab or the end
/// of a line. Tests several bytes at once.
fn plain(bytes: &[u8]) -> usize {
    const AT_ONCE: usize = 64;
    let (pieces, _) = bytes.as_chunks::<AT_ONCE>();
    let all_plain =
        |piece: &[u8; AT_ONCE]| piece.iter().fold(true, |all, one| all & is_plain(*one));
    let whole = pieces.iter().take_while(|piece| all_plain(piece)).count() * AT_ONCE;
    let rest = &bytes[whole..];
    let end = rest.iter().position(|byte| !is_plain(*byte));
    whole + end.unwrap_or(rest.len())
}

#[expect(
    clippy::needless_bitwise_bool,
    reason = "without a branch a byte the compiler looks at many at once"
)]
fn is_plain(byte: u8) -> bool {
    let space = (byte == b'\t') | (byte == b'\n') | (byte == b'\r');
    (0x20..0x7f).contains(&byte) | space
}
