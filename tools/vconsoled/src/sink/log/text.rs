// SPDX-License-Identifier: MIT
//! Renders a console's output for a log: times at the start of lines, and no
//! escape sequences.

use memchr::memchr;
use text_filter::Policy;

use super::stamp::Stamps;
use crate::config::Filter;

const ESC: u8 = 0x1b;

/// The state of the text, which determines how the next byte is rendered.
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
    /// For a record.
    pub(super) fn to_bytes(self) -> [u8; 2] {
        [self.line_start.into(), 0]
    }

    /// From a record.
    pub(super) fn from_bytes([line_start, _]: [u8; 2]) -> Self {
        Self {
            line_start: line_start != 0,
        }
    }

    /// Whether the next byte starts a line.
    pub(super) fn at_line_start(self) -> bool {
        self.line_start
    }

    /// Renders `bytes` into `text`, and returns how many are finished: the rest
    /// is an incomplete sequence or character, unless this is `all`.
    pub(super) fn render(
        &mut self,
        filter: Filter,
        stamps: &Stamps,
        bytes: &[u8],
        all: bool,
        text: &mut Vec<u8>,
    ) -> usize {
        let mut strip = text_filter::Filter::new(Policy::File);
        let mut shown = Vec::new();
        let mut last = None;
        for (stamp, piece) in pieces(stamps, bytes) {
            last = stamp;
            match filter {
                Filter::None => self.add(stamp, piece, text),
                Filter::Dot => {
                    let dotted: Vec<u8> = piece.iter().copied().map(dot).collect();
                    self.add(stamp, &dotted, text);
                }
                Filter::Strip if stamp.is_none() => {
                    let before = text.len();
                    strip.push(piece, text);
                    self.end_with(&text[before..]);
                }
                Filter::Strip => {
                    shown.clear();
                    strip.push(piece, &mut shown);
                    self.add(stamp, &shown, text);
                }
            }
        }
        let held = strip.held();
        if !all {
            return bytes.len() - held;
        }
        if held > 0 {
            shown.clear();
            strip.finish(&mut shown);
            self.add(last, &shown, text);
        }
        bytes.len()
    }

    /// Updates the state by the bytes added last.
    fn end_with(&mut self, shown: &[u8]) {
        self.line_start = shown.last().map_or(self.line_start, |byte| *byte == b'\n');
    }

    /// Adds rendered bytes.
    fn add(&mut self, stamp: Option<&str>, shown: &[u8], text: &mut Vec<u8>) {
        let Some(stamp) = stamp else {
            text.extend_from_slice(shown);
            self.end_with(shown);
            return;
        };
        let mut rest = shown;
        while !rest.is_empty() {
            if self.line_start {
                // A carriage return right after the line feed is skipped.
                let said = rest.iter().position(|byte| *byte != b'\r');
                rest = &rest[said.unwrap_or(rest.len())..];
                if rest.is_empty() {
                    return;
                }
                text.extend_from_slice(stamp.as_bytes());
            }
            let end = memchr(b'\n', rest);
            let line;
            (line, rest) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            text.extend_from_slice(line);
            self.line_start = end.is_some();
        }
    }
}

/// The bytes, split by the stamps that apply to them.
pub(super) fn pieces<'a>(
    stamps: &'a Stamps,
    bytes: &'a [u8],
) -> impl Iterator<Item = (Option<&'a str>, &'a [u8])> {
    let ends = stamps.iter().skip(1).map(|(at, _)| *at);
    let ends = ends.chain([bytes.len()]);
    let starts = stamps.iter().map(|(at, stamp)| (*at, Some(stamp.as_str())));
    let none = stamps.is_empty().then_some((0, None));
    let starts = none.into_iter().chain(starts).zip(ends);
    starts.filter_map(|((from, stamp), to)| {
        let to = to.min(bytes.len());
        Some((stamp, bytes.get(from..to)?))
    })
}

fn dot(byte: u8) -> u8 {
    if byte == ESC { b'.' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any cut has the same result, also with another daemon.
    fn rendered(filter: Filter, stamps: &Stamps, bytes: &[u8]) -> String {
        let mut whole = Vec::new();
        Text::default().render(filter, stamps, bytes, true, &mut whole);
        for cut in 0..bytes.len() {
            let (mut text, mut parts) = (Text::default(), Vec::new());
            let done = text.render(filter, stamps, &bytes[..cut], false, &mut parts);
            let mut text = Text::from_bytes(text.to_bytes());
            let stamps = from(stamps, done);
            let rest = text.render(filter, &stamps, &bytes[done..], true, &mut parts);
            assert_eq!(done + rest, bytes.len());
            assert_eq!(parts, whole, "cut at {cut}");
        }
        String::from_utf8(whole).unwrap()
    }

    /// The stamps after `done` bytes.
    fn from(stamps: &Stamps, done: usize) -> Stamps {
        let gone = stamps.partition_point(|(at, _)| *at <= done).max(1) - 1;
        let rest = stamps.iter().skip(gone);
        rest.map(|(at, stamp)| (at.saturating_sub(done), stamp.clone()))
            .collect()
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
            assert_eq!(
                rendered(Filter::Strip, &Stamps::new(), raw.as_bytes()),
                text,
                "{raw:?}"
            );
        }
    }

    #[test]
    fn bytes_are_kept_or_escape_becomes_a_dot() {
        let raw = "a\r\n\x1b[1mb\0";
        let rendered = |filter| rendered(filter, &Stamps::new(), raw.as_bytes());
        assert_eq!(rendered(Filter::None), raw);
        assert_eq!(rendered(Filter::Dot), "a\r\n.[1mb\0");
    }

    /// A file may be rotated at the end of a line.
    #[test]
    fn the_end_of_a_line_is_seen_without_times() {
        for filter in [Filter::None, Filter::Dot, Filter::Strip] {
            let mut text = Text::default();
            for (raw, ended) in [("one", false), ("two\n", true), ("", true), ("\nx", false)] {
                text.render(
                    filter,
                    &Stamps::new(),
                    raw.as_bytes(),
                    true,
                    &mut Vec::new(),
                );
                assert_eq!(text.at_line_start(), ended, "{filter:?} {raw:?}");
            }
        }
        let mut text = Text::default();
        let raw = b"one\n\x1b[0m";
        text.render(Filter::Strip, &Stamps::new(), raw, true, &mut Vec::new());
        assert!(text.at_line_start(), "what is left out begins no line");
    }

    #[test]
    fn each_line_starts_with_the_time_of_its_first_byte_however_it_is_cut() {
        let raw = b"one\n\rtwo\r\n\x1b[1mthree\x1b[0m\n\nfour";
        let stamps = |all: &[(usize, &str)]| {
            let all = all.iter().map(|(at, stamp)| (*at, (*stamp).to_owned()));
            all.collect::<Stamps>()
        };
        for filter in [Filter::Strip, Filter::None] {
            let rendered = |all: &[(usize, &str)]| {
                rendered(filter, &stamps(all), raw)
                    .replace("\x1b[1m", "")
                    .replace("\x1b[0m", "")
            };
            assert_eq!(
                rendered(&[(0, "[t] ")]),
                "[t] one\n[t] two\r\n[t] three\n[t] \n[t] four"
            );
            // Within a line, at its start, and at its second byte.
            assert_eq!(
                rendered(&[(0, "[a] "), (1, "[b] "), (14, "[c] "), (24, "[d] ")]),
                "[a] one\n[b] two\r\n[b] three\n[d] \n[d] four".replace(
                    "[b] three",
                    if filter == Filter::Strip {
                        "[c] three"
                    } else {
                        "[b] three"
                    }
                )
            );
        }
    }
}
