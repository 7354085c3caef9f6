// SPDX-License-Identifier: MIT
//! The format of a recording: asciicast, version 2. A file begins with an object
//! that contains the start time, and each further line is an event: the seconds
//! since then, and output (`o`) or input (`i`).

use std::io;
use std::str;

use serde::Deserialize;

use super::file::LogFile;
use super::stamp::{self, Stamps};
use super::text::pieces;
use crate::buffer::Arrival;

/// A terminal's size, which is unknown for a console.
const COLUMNS: u32 = 80;
const ROWS: u32 = 24;
/// Longest title, in characters.
const TITLE_MAX: usize = 256;
/// Longest header of this daemon, in bytes.
const HEADER_MAX: usize = 4096;
/// Longest character, in bytes.
const CHARACTER_MAX: usize = 4;

/// A recording: its title, the start of its file in milliseconds since 1970, and
/// the length of the file's header.
pub(super) struct Cast {
    title: String,
    pub(super) base: i64,
    head: u64,
}

/// The fields of a header that are read.
#[derive(Deserialize)]
struct Header {
    version: u32,
    timestamp: i64,
}

impl Cast {
    pub(super) fn new(title: &str) -> Self {
        Self {
            title: title.chars().take(TITLE_MAX).collect(),
            base: 0,
            head: 0,
        }
    }

    /// Begins an empty file, or reads the start of an existing one. `false` if it
    /// is not a recording.
    pub(super) fn begin(&mut self, file: &mut LogFile) -> io::Result<bool> {
        if file.extent().size > 0 {
            let head = file.head(HEADER_MAX)?;
            let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let header: Option<Header> = serde_json::from_slice(line).ok();
            let header = header.filter(|header| header.version == 2);
            self.base = header
                .as_ref()
                .map_or(0, |header| header.timestamp.saturating_mul(1000));
            self.head = line.len() as u64 + 1;
            return Ok(header.is_some());
        }
        let began = Arrival::now(0).time / 1000;
        let header = serde_json::json!({
            "version": 2, "width": COLUMNS, "height": ROWS,
            "timestamp": began, "title": self.title,
        });
        file.append(format!("{header}\n").as_bytes())?;
        (self.base, self.head) = (began * 1000, file.extent().size);
        Ok(true)
    }

    /// Whether a file has any event.
    pub(super) fn holds(&self, file: &LogFile) -> bool {
        file.extent().size > self.head
    }

    /// An input event.
    pub(super) fn typed(&self, arrival: Arrival, bytes: &[u8]) -> String {
        event(&stamp::after(arrival, self.base), "i", bytes)
    }
}

fn event(time: &str, kind: &str, bytes: &[u8]) -> String {
    let text = serde_json::Value::from(String::from_utf8_lossy(bytes));
    format!("[{time}, \"{kind}\", {text}]\n")
}

/// Adds events of output to `text`, and returns the number of bytes in them: the
/// rest is an incomplete character, unless this is `all`.
pub(super) fn render(stamps: &Stamps, bytes: &[u8], all: bool, text: &mut Vec<u8>) -> usize {
    let (mut waiting, mut last) = (Vec::new(), "");
    for (stamp, piece) in pieces(stamps, bytes) {
        last = stamp.unwrap_or_default();
        waiting.extend_from_slice(piece);
        let whole = whole(&waiting);
        if whole > 0 {
            text.extend_from_slice(event(last, "o", &waiting[..whole]).as_bytes());
            waiting.drain(..whole);
        }
    }
    if all && !waiting.is_empty() {
        text.extend_from_slice(event(last, "o", &waiting).as_bytes());
        waiting.clear();
    }
    bytes.len() - waiting.len()
}

/// Number of bytes before an incomplete character.
fn whole(bytes: &[u8]) -> usize {
    let begun = |length: &usize| {
        let end = &bytes[bytes.len() - length..];
        str::from_utf8(end)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    let most = bytes.len().min(CHARACTER_MAX - 1);
    bytes.len() - (1..=most).find(begun).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The times and texts of events.
    fn events(text: &[u8]) -> Vec<(f64, String)> {
        let lines = str::from_utf8(text).unwrap().lines();
        let event = |line: &str| {
            let (time, kind, text): (f64, String, String) = serde_json::from_str(line).unwrap();
            assert_eq!(kind, "o");
            (time, text)
        };
        lines.map(event).collect()
    }

    #[test]
    fn events_have_their_times_and_characters_are_whole() {
        let stamps = vec![
            (0, "0.000".to_owned()),
            (3, "1.500".to_owned()),
            (9, "2.000".to_owned()),
        ];
        let mut text = Vec::new();
        let bytes = "ab\u{fc}\x1b[1m\"\u{1f427}".as_bytes();
        assert_eq!(render(&stamps, &bytes[..11], false, &mut text), 9);
        let expected = [(0.0, "ab".to_owned()), (1.5, "\u{fc}\x1b[1m\"".to_owned())];
        assert_eq!(events(&text), expected);
        text.clear();
        assert_eq!(render(&stamps, &bytes[..11], true, &mut text), 11);
        assert_eq!(events(&text)[2], (2.0, "\u{fffd}".to_owned()));
    }

    proptest! {
        /// For any pieces of output, the events have the same text.
        #[test]
        fn nothing_is_lost_and_nothing_cut_in_two(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just(&b"a"[..]), Just(&b"\xff"[..]), Just(&b"\xf0\x9f"[..]),
                    Just("\u{fc}".as_bytes()), Just("\u{1f427}".as_bytes()), Just(&b"\n\x1b"[..]),
                ],
                1..30,
            ),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let bytes = pieces.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let stamps = vec![(0, "0.000".to_owned())];
            let (mut text, mut from) = (Vec::new(), 0);
            for to in cuts {
                from += render(&stamps, &bytes[from..to], to == bytes.len(), &mut text);
            }
            prop_assert_eq!(from, bytes.len());
            let said: String = events(&text).into_iter().map(|(_, text)| text).collect();
            prop_assert_eq!(said, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
