// SPDX-License-Identifier: MIT
//! Selects lines of a log: by time, by boot, by pattern.

use jiff::Timestamp;
use regex::bytes::Regex;

use crate::options::values::Time;

/// A longer line is selected by its beginning.
const LINE_MAX: usize = 64 * 1024;

/// What Linux prints first, on Arm and elsewhere.
const BOOTS: &str = r"Booting Linux on physical CPU|Linux version \d";

/// The conditions for a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) since: Option<Time>,
    pub(crate) until: Option<Time>,
    pub(crate) grep: Option<Regex>,
    /// The number of the boot; the first is 1.
    pub(crate) boot: Option<u64>,
}

impl Wanted {
    /// Whether every line is wanted.
    pub(super) fn is_everything(&self) -> bool {
        !self.needs_times() && self.grep.is_none() && self.boot.is_none()
    }

    /// Whether the conditions require lines with times.
    pub(super) fn needs_times(&self) -> bool {
        self.since.or(self.until).is_some()
    }
}

/// The boot for a number of the command line, of `count` boots.
pub(super) fn boot(number: i64, count: u64) -> Option<u64> {
    let boot = match u64::try_from(number) {
        Ok(0) => Some(count),
        Ok(boot) => Some(boot),
        Err(_) => count.checked_sub(number.unsigned_abs()),
    };
    boot.filter(|boot| (1..=count).contains(boot))
}

/// Passes on lines that are wanted.
pub(super) struct Select {
    wanted: Wanted,
    boots: Regex,
    line: Vec<u8>,
    /// The decision for a line that has no end yet.
    passes: Option<bool>,
    /// The time of the last line that had one.
    time: Option<Timestamp>,
    /// How many boots began.
    boot: u64,
    /// The previous line began a boot; if the next one matches, it is the same boot.
    begins: bool,
}

impl Select {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            boots: Regex::new(BOOTS).unwrap_or_else(|error| unreachable!("{error}")),
            line: Vec::new(),
            passes: None,
            time: None,
            boot: 0,
            begins: false,
        }
    }

    /// How many boots began so far.
    pub(super) fn boots(&self) -> u64 {
        self.boot
    }

    /// Whether any line so far had a time.
    pub(super) fn has_times(&self) -> bool {
        self.time.is_some()
    }

    /// Passes the wanted part of `bytes` to `put`.
    pub(super) fn push(&mut self, bytes: &[u8], mut put: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.ends_with(b"\n");
            match self.passes {
                Some(true) => put(part),
                Some(false) => {}
                None => {
                    self.line.extend_from_slice(part);
                    if ends || self.line.len() >= LINE_MAX {
                        self.decide(&mut put);
                    }
                }
            }
            if ends {
                self.passes = None;
            }
        }
    }

    /// The end of the log: a partial line counts as a line.
    pub(super) fn finish(&mut self, mut put: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.decide(&mut put);
        }
    }

    fn decide(&mut self, put: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        if let Some(time) = stamp(&line) {
            self.time = Some(time);
        }
        let begins = self.boots.is_match(&line);
        if begins && !self.begins {
            self.boot += 1;
        }
        self.begins = begins;
        let wanted = &self.wanted;
        let time = self.time;
        // A line without a time belongs to the previous one.
        let after = |since: Time| time.is_some_and(|time| time >= since.0);
        let before = |until: Time| time.is_none_or(|time| time < until.0);
        let passes = wanted.since.is_none_or(after)
            && wanted.until.is_none_or(before)
            && wanted.boot.is_none_or(|boot| boot == self.boot)
            && (wanted.grep.as_ref()).is_none_or(|pattern| pattern.is_match(&line));
        if passes {
            put(&line);
        }
        self.passes = Some(passes);
    }
}

/// The time that a line of a log begins with.
fn stamp(line: &[u8]) -> Option<Timestamp> {
    let line = line.strip_prefix(b"[")?;
    let end = line.iter().take(64).position(|byte| *byte == b']')?;
    std::str::from_utf8(&line[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn select(wanted: Wanted, text: &str, cut: usize) -> String {
        let mut select = Select::new(wanted);
        let mut selected = Vec::new();
        for part in text.as_bytes().chunks(cut) {
            select.push(part, |bytes| selected.extend_from_slice(bytes));
        }
        select.finish(|bytes| selected.extend_from_slice(bytes));
        String::from_utf8(selected).unwrap()
    }

    const LOG: &str = "before\n\
        [2026-11-29T10:00:00.000+00:00] Booting Linux on physical CPU 0x0\n\
        [2026-11-29T10:00:00.100+00:00] Linux version 6.1\n\
        [2026-11-29T10:00:01.000+00:00] one\n\
        more of one\n\
        [2026-11-29T12:00:02.000+01:00] Booting Linux on physical CPU 0x0\n\
        [2026-11-29T12:00:03.000+01:00] two";

    #[test]
    fn lines_are_selected_by_time_boot_and_pattern_together() {
        let time = |text: &str| Some(text.parse().unwrap());
        let boot = |boot| Wanted {
            boot: Some(boot),
            ..Wanted::default()
        };
        for (wanted, expected) in [
            (
                Wanted {
                    since: time("2026-11-29T10:00:01Z"),
                    ..Wanted::default()
                },
                "one.more.Boo.two",
            ),
            (
                Wanted {
                    until: time("2026-11-29T10:00:01Z"),
                    ..Wanted::default()
                },
                "bef.Boo.Lin",
            ),
            (
                Wanted {
                    since: time("2026-11-29T10:00:01Z"),
                    until: time("2026-11-29T11:00:02Z"),
                    ..Wanted::default()
                },
                "one.more",
            ),
            (boot(1), "Boo.Lin.one.more"),
            (boot(2), "Boo.two"),
            (boot(3), ""),
            (
                Wanted {
                    grep: Some(Regex::new("one").unwrap()),
                    ..boot(1)
                },
                "one.more",
            ),
        ] {
            for cut in [1, 7, 1000] {
                let selected = select(wanted.clone(), LOG, cut);
                let lines = selected.lines().map(|line| {
                    let line = line.split_once("] ").map_or(line, |(_, line)| line);
                    line[..if line.starts_with("more") { 4 } else { 3 }].to_owned()
                });
                assert_eq!(lines.collect::<Vec<_>>().join("."), expected, "cut {cut}");
            }
        }
    }

    #[test]
    fn boots_are_counted_from_either_end() {
        for (number, count, expected) in [
            (0, 3, Some(3)),
            (-1, 3, Some(2)),
            (-2, 3, Some(1)),
            (-3, 3, None),
            (1, 3, Some(1)),
            (3, 3, Some(3)),
            (4, 3, None),
            (0, 0, None),
            (i64::MIN, 3, None),
        ] {
            assert_eq!(boot(number, count), expected, "{number} of {count}");
        }
    }

    proptest! {
        /// Without a condition every byte passes, whatever a guest wrote; with one,
        /// whole lines pass. Memory is bounded.
        #[test]
        fn nothing_is_altered(text in proptest::collection::vec(any::<u8>(), 0..2000), cut in 1..64usize) {
            for grep in [None, Some(Regex::new("a").unwrap())] {
                let mut select = Select::new(Wanted { grep: grep.clone(), ..Wanted::default() });
                let mut selected = Vec::new();
                for part in text.chunks(cut) {
                    select.push(part, |bytes| selected.extend_from_slice(bytes));
                }
                select.finish(|bytes| selected.extend_from_slice(bytes));
                let lines = text.split_inclusive(|byte| *byte == b'\n');
                let wanted = lines.filter(|line| grep.as_ref().is_none_or(|grep| grep.is_match(line)));
                prop_assert_eq!(selected, wanted.collect::<Vec<_>>().concat());
            }
        }
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_one_of_the_longest() {
        let mut select = Select::new(Wanted::default());
        let mut count = 0;
        for _ in 0..100 {
            select.push(&[b'x'; 10_000], |bytes| count += bytes.len());
            assert!(select.line.len() < LINE_MAX + 10_000);
        }
        select.finish(|bytes| count += bytes.len());
        assert_eq!(count, 1_000_000);
    }
}
