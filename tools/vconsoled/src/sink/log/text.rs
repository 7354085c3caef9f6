// SPDX-License-Identifier: MIT
//! What a console's output looks like in a log: times at the start of lines,
//! and no escape sequences.
//!
//! Sequences are told apart as in ECMA-48, section 5.3 and 8.3: an escape with
//! its intermediate bytes, a control sequence up to its final byte, a control
//! string up to its terminator. A line feed ends any of them, so that a guest
//! that never ends one loses no more than its line.

use memchr::memchr;

use super::Style;
use crate::config::Filter;

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;
const DEL: u8 = 0x7f;

/// How far the text got: what the next byte means depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) struct Text {
    line_start: bool,
    within: Within,
}

/// What the last byte was part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Plain = 0,
    /// After ESC and intermediate bytes.
    Escape = 1,
    /// After CSI.
    Control = 2,
    /// In a string that ends with ST or, as terminals have it, with BEL.
    String = 3,
    /// After an ESC in such a string.
    StringEscape = 4,
}

impl Within {
    /// What the next byte is the end or a part of.
    fn next(self, byte: u8) -> Self {
        match (self, byte) {
            (_, b'\n' | CAN | SUB) => return Self::Plain,
            (Self::String, ESC) => return Self::StringEscape,
            (_, ESC) => return Self::Escape,
            _ => {}
        }
        match self {
            // What follows an ESC in a string may be an escape in its own
            // right; the string's terminator is one as well.
            Self::Escape | Self::StringEscape => match byte {
                b'[' => Self::Control,
                b']' | b'P' | b'X' | b'^' | b'_' => Self::String,
                0x30..=0x7e => Self::Plain,
                // An intermediate byte, or a control that takes effect where
                // it stands.
                _ => Self::Escape,
            },
            Self::Control if (0x40..=0x7e).contains(&byte) => Self::Plain,
            Self::String if byte == BEL => Self::Plain,
            same => same,
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self {
            line_start: true,
            within: Within::Plain,
        }
    }
}

impl Text {
    /// For a note.
    pub(super) fn to_bytes(self) -> [u8; 2] {
        [self.line_start.into(), self.within as u8]
    }

    /// From a note; of nonsense, the default.
    pub(super) fn from_bytes([line_start, within]: [u8; 2]) -> Self {
        let all = [
            Within::Plain,
            Within::Escape,
            Within::Control,
            Within::String,
            Within::StringEscape,
        ];
        let within = all.into_iter().find(|one| *one as u8 == within);
        within.map_or_else(Self::default, |within| Self {
            line_start: line_start != 0,
            within,
        })
    }

    /// Whether the next byte starts a line.
    pub(super) fn at_line_start(self) -> bool {
        self.line_start
    }

    /// Adds `bytes` to `text`. `stamp` goes before each line that is to have
    /// the time.
    pub(in crate::sink) fn render(
        &mut self,
        style: Style,
        stamp: &[u8],
        bytes: &[u8],
        text: &mut Vec<u8>,
    ) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let run;
            (run, rest) = rest.split_at(self.run(style.filter, rest));
            self.add(style, stamp, run, text);
            // What ends the run is looked at by itself.
            if let Some((byte, after)) = rest.split_first() {
                rest = after;
                if let Some(byte) = self.show(style.filter, *byte) {
                    self.add(style, stamp, &[byte], text);
                }
            }
        }
    }

    /// How many of `bytes` are shown as they are and leave the text where it
    /// is.
    fn run(self, filter: Filter, bytes: &[u8]) -> usize {
        match filter {
            Filter::None => bytes.len(),
            Filter::Dot => memchr(ESC, bytes).unwrap_or(bytes.len()),
            Filter::Strip if self.within == Within::Plain => plain(bytes),
            Filter::Strip => 0,
        }
    }

    /// Adds bytes that are shown.
    fn add(&mut self, style: Style, stamp: &[u8], shown: &[u8], text: &mut Vec<u8>) {
        if !style.timestamps {
            text.extend_from_slice(shown);
            self.line_start = shown.last().map_or(self.line_start, |byte| *byte == b'\n');
            return;
        }
        let mut rest = shown;
        while !rest.is_empty() {
            if self.line_start {
                // A carriage return right after the line feed says nothing.
                let said = rest.iter().position(|byte| *byte != b'\r');
                rest = &rest[said.unwrap_or(rest.len())..];
                if rest.is_empty() {
                    return;
                }
                text.extend_from_slice(stamp);
            }
            let end = memchr(b'\n', rest);
            let line;
            (line, rest) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            text.extend_from_slice(line);
            self.line_start = end.is_some();
        }
    }

    fn show(&mut self, filter: Filter, byte: u8) -> Option<u8> {
        match filter {
            Filter::None => Some(byte),
            Filter::Dot => Some(if byte == ESC { b'.' } else { byte }),
            Filter::Strip => self.strip(byte),
        }
    }

    fn strip(&mut self, byte: u8) -> Option<u8> {
        let before = self.within;
        self.within = before.next(byte);
        let shown = match byte {
            b'\n' => true,
            b'\r' | b'\t' => !matches!(before, Within::String | Within::StringEscape),
            0..0x20 | DEL => false,
            _ => before == Within::Plain,
        };
        shown.then_some(byte)
    }
}

/// Bytes up to the first that is no text, tab or end of a line. They are looked
/// at several at once.
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
    ((byte >= 0x20) | space) & (byte != DEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIP: Style = Style {
        timestamps: false,
        filter: Filter::Strip,
    };

    /// Cut anywhere, the same comes out.
    fn rendered(style: Style, bytes: &[u8]) -> String {
        let mut whole = Vec::new();
        Text::default().render(style, b"[t] ", bytes, &mut whole);
        for cut in 0..bytes.len() {
            let (mut text, mut parts) = (Text::default(), Vec::new());
            text.render(style, b"[t] ", &bytes[..cut], &mut parts);
            // A restart comes in between.
            let mut text = Text::from_bytes(text.to_bytes());
            text.render(style, b"[t] ", &bytes[cut..], &mut parts);
            assert_eq!(parts, whole, "cut at {cut}");
        }
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn sequences_are_stripped_and_text_stays() {
        for (raw, text) in [
            ("plain\r\n\ttext", "plain\r\n\ttext"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b[?25l\x1b[2Jcleared", "cleared"),
            ("\x1b(Bset\x1b#8\x1b7\x1bM", "set"),
            ("\x1b]0;title\x07after", "after"),
            ("\x1b]0;title\x1b\\after", "after"),
            ("\x1bPq#0;2\x1b\\after", "after"),
            ("\x1b_x\ty\x1b\\z", "z"),
            ("\x1b]8;;\x1b[1mbold", "bold"),
            ("\x1b[1\x1b[2mtwice", "twice"),
            ("\x1b[1\x18cancelled", "cancelled"),
            ("bell\x07 back\x08 null\0 del\x7f.", "bell back null del."),
            ("gr\u{fc}\u{df}e \u{1f427}", "gr\u{fc}\u{df}e \u{1f427}"),
            ("\x1b]endless\nnext", "\nnext"),
            ("\x1b[999999\nnext", "\nnext"),
            ("\x1b[\r\nnext", "\r\nnext"),
            ("cut \x1b", "cut "),
        ] {
            assert_eq!(rendered(STRIP, raw.as_bytes()), text, "{raw:?}");
        }
    }

    #[test]
    fn any_byte_anywhere_is_what_it_is_by_itself() {
        for filter in [Filter::None, Filter::Dot, Filter::Strip] {
            for timestamps in [false, true] {
                let style = Style { timestamps, filter };
                for byte in 0..=255_u8 {
                    for at in 0..70 {
                        let mut bytes = [b'x'; 70];
                        bytes[at] = byte;
                        let (mut text, mut together) = (Text::default(), Vec::new());
                        text.render(style, b"[t] ", &bytes, &mut together);
                        let (mut text, mut apart) = (Text::default(), Vec::new());
                        for one in bytes {
                            text.render(style, b"[t] ", &[one], &mut apart);
                        }
                        assert_eq!(together, apart, "{style:?} {byte:#x} at {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_but_text_comes_out_of_anything() {
        let bytes: Vec<u8> = (0..=255_u8)
            .flat_map(|one| (0..=255_u8).flat_map(move |two| [ESC, one, two]))
            .collect();
        let mut text = Vec::new();
        Text::default().render(STRIP, b"", &bytes, &mut text);
        let allowed = |byte: &u8| *byte >= 0x20 && *byte != 0x7f || b"\t\r\n".contains(byte);
        assert!(text.iter().all(allowed));
    }

    #[test]
    fn bytes_are_kept_or_escape_becomes_a_dot() {
        let style = |filter| Style {
            timestamps: false,
            filter,
        };
        let raw = "a\r\n\x1b[1mb\0";
        assert_eq!(rendered(style(Filter::None), raw.as_bytes()), raw);
        assert_eq!(rendered(style(Filter::Dot), raw.as_bytes()), "a\r\n.[1mb\0");
    }

    #[test]
    fn each_line_starts_with_the_time_however_it_is_cut() {
        let style = Style {
            timestamps: true,
            filter: Filter::Strip,
        };
        let text = rendered(style, b"one\n\rtwo\r\n\x1b[1mthree\x1b[0m\n\nfour");
        assert_eq!(text, "[t] one\n[t] two\r\n[t] three\n[t] \n[t] four");
    }

    #[test]
    fn nonsense_in_a_note_is_the_start_of_a_line() {
        assert_eq!(Text::from_bytes([7, 99]), Text::default());
    }
}
