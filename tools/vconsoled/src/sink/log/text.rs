// SPDX-License-Identifier: MIT
//! What a console's output looks like in a log: times at the start of lines,
//! and no escape sequences.

use memchr::memchr;
use text_filter::Policy;

use super::Style;
use crate::config::Filter;

const ESC: u8 = 0x1b;

/// How far the text got: what the next byte means depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    line_start: bool,
}

impl Default for Text {
    fn default() -> Self {
        Self { line_start: true }
    }
}

impl Text {
    /// For a note.
    pub(super) fn to_bytes(self) -> [u8; 2] {
        [self.line_start.into(), 0]
    }

    /// From a note.
    pub(super) fn from_bytes([line_start, _]: [u8; 2]) -> Self {
        Self {
            line_start: line_start != 0,
        }
    }

    /// Whether the next byte starts a line.
    pub(super) fn at_line_start(self) -> bool {
        self.line_start
    }

    /// Adds `bytes` to `text`, and tells how many of them are done with: the
    /// rest is a sequence or a character whose end is still to come, unless
    /// this is `all` there will be. `stamp` goes before each line that is to
    /// have the time.
    pub(super) fn render(
        &mut self,
        style: Style,
        stamp: &[u8],
        bytes: &[u8],
        all: bool,
        text: &mut Vec<u8>,
    ) -> usize {
        match style.filter {
            Filter::None => self.add(style, stamp, bytes, text),
            Filter::Dot => {
                let dotted: Vec<u8> = bytes.iter().copied().map(dot).collect();
                self.add(style, stamp, &dotted, text);
            }
            Filter::Strip => {
                let mut filter = text_filter::Filter::new(Policy::File);
                let mut shown = Vec::with_capacity(bytes.len());
                filter.push(bytes, &mut shown);
                let held = filter.held();
                if all {
                    filter.finish(&mut shown);
                }
                self.add(style, stamp, &shown, text);
                return bytes.len() - if all { 0 } else { held };
            }
        }
        bytes.len()
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
}

fn dot(byte: u8) -> u8 {
    if byte == ESC { b'.' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRIP: Style = Style {
        timestamps: false,
        filter: Filter::Strip,
    };

    /// Cut anywhere, the same comes out, also when another daemon goes on.
    fn rendered(style: Style, bytes: &[u8]) -> String {
        let mut whole = Vec::new();
        Text::default().render(style, b"[t] ", bytes, true, &mut whole);
        for cut in 0..bytes.len() {
            let (mut text, mut parts) = (Text::default(), Vec::new());
            let done = text.render(style, b"[t] ", &bytes[..cut], false, &mut parts);
            let mut text = Text::from_bytes(text.to_bytes());
            let rest = text.render(style, b"[t] ", &bytes[done..], true, &mut parts);
            assert_eq!(done + rest, bytes.len());
            assert_eq!(parts, whole, "cut at {cut}");
        }
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn sequences_are_stripped_and_text_stays() {
        for (raw, text) in [
            ("plain\r\n\ttext", "plain\r\n\ttext"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\x1b]0;title\x07after", "after"),
            ("bell\x07 back\x08 null\0 del\x7f.", "bell back null del."),
            ("gr\u{fc}\u{df}e \u{1f427}", "gr\u{fc}\u{df}e \u{1f427}"),
            ("\x1b\u{fc}ber\u{9b}2J\nnext", "\u{fc}ber2J\nnext"),
            ("\x1b]endless\nnext", "]endless\nnext"),
            ("cut \x1b", "cut "),
        ] {
            assert_eq!(rendered(STRIP, raw.as_bytes()), text, "{raw:?}");
        }
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
}
