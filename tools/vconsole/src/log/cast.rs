// SPDX-License-Identifier: MIT
//! Parses a recording (asciicast, version 2) piece by piece.

use std::time::Duration;

use serde_json::Value;

/// Longest line in bytes; a longer one is invalid.
const LINE_MAX: usize = 4 << 20;
/// The longest delay before an event.
const DELAY_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A parsed line.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// Output, and its time in seconds since 1970, if the recording has its start
    /// time.
    Output(f64, String),
    /// Another valid line of a recording.
    Other,
    /// Not a line of a recording of this version.
    Nonsense,
}

/// The lines of a file.
#[derive(Default)]
pub(super) struct Cast {
    line: Vec<u8>,
    /// The line is too long.
    skips: bool,
    /// When the recording begins, once its first line was read.
    base: Option<f64>,
}

impl Cast {
    /// Parses more of the file.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.skips |= self.line.len() + part.len() > LINE_MAX;
            if self.skips {
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                lines.extend(self.end_line());
            }
        }
        lines
    }

    /// The end of the file: a last line without a line end may be complete.
    pub(super) fn finish(mut self) -> Option<Line> {
        self.end_line()
    }

    /// Whether the file is a recording, as far as it was read.
    pub(super) fn is_known(&self) -> bool {
        self.base.is_some()
    }

    fn end_line(&mut self) -> Option<Line> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.skips) {
            return Some(Line::Nonsense);
        }
        if line.trim_ascii().is_empty() {
            return None;
        }
        Some(match serde_json::from_slice(&line) {
            Ok(Value::Object(header)) if header.get("version") == Some(&2.into()) => {
                let timestamp = header.get("timestamp").and_then(Value::as_f64);
                self.base = Some(timestamp.unwrap_or(0.0));
                Line::Other
            }
            Ok(Value::Array(event)) => self.event(&event),
            _ => Line::Nonsense,
        })
    }

    fn event(&self, event: &[Value]) -> Line {
        let (Some(base), [time, kind, text]) = (self.base, event) else {
            return Line::Nonsense;
        };
        match (time.as_f64(), kind.as_str(), text.as_str()) {
            (Some(time), Some("o"), Some(text)) => Line::Output(base + time, text.to_owned()),
            (Some(_), Some(_), Some(_)) => Line::Other,
            _ => Line::Nonsense,
        }
    }
}

/// The speed of a replay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) speed: f64,
    /// The longest pause, in seconds of the recording.
    pub(super) max_idle: Option<f64>,
    /// The time of the last event.
    last: Option<f64>,
}

impl Pace {
    pub(super) fn new(speed: f64, max_idle: Option<f64>) -> Self {
        Self {
            speed,
            max_idle,
            last: None,
        }
    }

    /// How long to wait before an event of that time: no wait before the first one,
    /// or if the clock was set back.
    pub(super) fn delay(&mut self, time: f64) -> Duration {
        let pause = self
            .last
            .replace(time)
            .map_or(0.0, |last| (time - last).max(0.0));
        let pause = self.max_idle.map_or(pause, |most| pause.min(most));
        let delay = Duration::try_from_secs_f64(pause / self.speed);
        delay.unwrap_or(DELAY_MAX).min(DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "{\"version\": 2, \"width\": 80, \"height\": 24, \"timestamp\": 100}\n\
                        [0.5, \"o\", \"a\\u001b\"]\n\n[1, \"i\", \"x\"]\n[2.25, \"o\", \"b\"]";

    #[test]
    fn a_recording_is_read_however_its_bytes_come() {
        for step in 1..FILE.len() {
            let (mut cast, mut lines) = (Cast::default(), Vec::new());
            for piece in FILE.as_bytes().chunks(step) {
                lines.extend(cast.push(piece));
            }
            assert!(cast.is_known());
            lines.extend(cast.finish());
            let expected = [
                Line::Other,
                Line::Output(100.5, "a\x1b".to_owned()),
                Line::Other,
                Line::Output(102.25, "b".to_owned()),
            ];
            assert_eq!(lines, expected);
        }
    }

    #[test]
    fn other_files_are_not_taken_for_recordings() {
        for line in [
            "[1, \"o\", \"before the header\"]",
            "{\"version\": 3, \"term\": {}}",
            "{\"version\": 2",
            "nothing",
            "\u{1b}[2J",
            "7",
        ] {
            let mut cast = Cast::default();
            assert_eq!(
                cast.push(format!("{line}\n").as_bytes()),
                [Line::Nonsense],
                "{line}"
            );
            assert!(!cast.is_known());
        }
        let mut cast = Cast::default();
        cast.push(b"{\"version\": 2}\n");
        for line in [
            "[]",
            "[1]",
            "[\"1\", \"o\", \"a\"]",
            "[1, \"o\", 2]",
            "[1, 2, \"a\"]",
        ] {
            assert_eq!(
                cast.push(format!("{line}\n").as_bytes()),
                [Line::Nonsense],
                "{line}"
            );
        }
        // An endless line is not stored, and the line after it is parsed.
        for _ in 0..6 {
            assert!(cast.push(&vec![b'['; 1 << 20]).is_empty());
            assert!(cast.line.len() <= LINE_MAX);
        }
        let lines = cast.push(b"\n[1, \"o\", \"a\"]\n");
        assert_eq!(lines, [Line::Nonsense, Line::Output(1.0, "a".to_owned())]);
    }

    #[test]
    fn pauses_are_as_long_as_requested() {
        let delays = |speed, max_idle, times: &[f64]| -> Vec<u128> {
            let mut pace = Pace::new(speed, max_idle);
            let delays = times.iter().map(|time| pace.delay(*time).as_millis());
            delays.collect()
        };
        let times = [100.0, 101.5, 101.0, 111.0];
        assert_eq!(delays(1.0, None, &times), [0, 1500, 0, 10_000]);
        assert_eq!(delays(2.0, None, &times), [0, 750, 0, 5000]);
        assert_eq!(delays(0.5, Some(2.0), &times), [0, 3000, 0, 4000]);
        assert_eq!(delays(1.0, Some(0.0), &times), [0, 0, 0, 0]);
        let year = DELAY_MAX.as_millis();
        assert_eq!(delays(1.0, None, &[0.0, f64::MAX, f64::MAX]), [0, year, 0]);
    }
}
