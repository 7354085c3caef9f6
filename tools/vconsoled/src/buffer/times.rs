// SPDX-License-Identifier: MIT
//! When output came: marks, each valid from its position in the output up to the
//! next mark. The newest are in the buffer's file too, behind the bytes, for the
//! next process.
//!
//! There are few while their reader keeps up. The longer the reader is behind,
//! the coarser the marks: a time is wrong by at most a millisecond, or a 32nd of
//! the bytes' waiting time if that is more.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant, SystemTime};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::CAPACITY;
use super::records::HEADER;

/// Offset of the marks in the file.
pub(super) const MARKS: u64 = HEADER + CAPACITY;
/// How many there may be.
const MOST: usize = 2048;
/// Shortest time between two marks.
const SPACING: Duration = Duration::from_millis(1);
/// After this many waiting marks, the time between two doubles.
const DOUBLED_AFTER: usize = 64;

/// Output from a position on, and when it came: milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Position in the output.
    pub position: u64,
    /// When.
    pub time: i64,
}

impl Arrival {
    /// The current time by the system clock.
    #[must_use]
    pub fn now(position: u64) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let time = since.map_or(0, |since| since.as_millis());
        Self {
            position,
            time: i64::try_from(time).unwrap_or(0),
        }
    }
}

/// A mark in the file. An unused one is all zeros.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct Mark {
    /// One more than the position.
    after: u64,
    time: i64,
}

/// The marks that a reader may still need.
#[derive(Debug, Default)]
pub(super) struct Times {
    arrivals: VecDeque<Arrival>,
    /// Place of the next mark in the file.
    next: usize,
    /// When the last one was made.
    last: Option<Instant>,
}

impl Times {
    /// Reads the marks of a file whose bytes end at `end`.
    pub(super) fn read(file: &File, end: u64) -> io::Result<Self> {
        let mut bytes = vec![0; MOST * size_of::<Mark>()];
        let length = file.read_at(&mut bytes, MARKS)?;
        let (marks, _rest) =
            <[Mark]>::ref_from_prefix_with_elems(&bytes, length / size_of::<Mark>())
                .map_err(|_| io::ErrorKind::InvalidData)?;
        let mut found: Vec<(u64, usize, i64)> = (0..)
            .zip(marks)
            .filter_map(|(place, mark)| Some((mark.after.checked_sub(1)?, place, mark.time)))
            // A mark at or after the end belongs to bytes that did not count.
            .filter(|(position, ..)| *position < end)
            .collect();
        found.sort_unstable();
        let next = found.last().map_or(0, |(_, place, _)| (place + 1) % MOST);
        let arrivals = found.into_iter();
        let arrivals = arrivals.map(|(position, _, time)| Arrival { position, time });
        Ok(Self {
            arrivals: arrivals.collect(),
            next,
            last: None,
        })
    }

    /// Notes bytes that begin at `arrival`; makes a mark if enough time has passed.
    pub(super) fn note(&mut self, file: &File, arrival: Arrival, now: Instant) {
        let doubled = self.arrivals.len() / DOUBLED_AFTER;
        let spacing = SPACING * 2_u32.saturating_pow(u32::try_from(doubled).unwrap_or(u32::MAX));
        let early = |last: Instant| now.saturating_duration_since(last) < spacing;
        // A mark without bytes is replaced.
        let again = self.arrivals.back().map(|last| last.position) == Some(arrival.position);
        if !again && self.last.is_some_and(early) {
            return;
        }
        self.last = Some(now);
        if again {
            self.arrivals.pop_back();
            self.next = (self.next + MOST - 1) % MOST;
        } else if self.arrivals.len() == MOST {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(arrival);
        let mark = Mark {
            after: arrival.position + 1,
            time: arrival.time,
        };
        let place = MARKS + (self.next * size_of::<Mark>()) as u64;
        self.next = (self.next + 1) % MOST;
        // Only the next process would miss it.
        let _written = file.write_all_at(mark.as_bytes(), place);
    }

    /// When the bytes from `from` up to `to` came; the first entry begins at
    /// `from`. Empty if unknown.
    pub(super) fn between(&self, from: u64, to: u64) -> Vec<Arrival> {
        let after = self.arrivals.partition_point(|one| one.position <= from);
        let marks = self.arrivals.range(after.saturating_sub(1)..);
        let mut arrivals: Vec<Arrival> = marks
            .take_while(|one| one.position < to.max(from + 1))
            .copied()
            .collect();
        if let Some(first) = arrivals.first_mut() {
            first.position = from;
        }
        arrivals
    }

    /// Drops times before `position`.
    pub(super) fn forget(&mut self, position: u64) {
        let after = self
            .arrivals
            .partition_point(|one| one.position <= position);
        self.arrivals.drain(..after.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stream {
        file: File,
        times: Times,
        end: u64,
        began: Instant,
    }

    impl Stream {
        fn new() -> Self {
            Self {
                file: tempfile::tempfile().unwrap(),
                times: Times::default(),
                end: 0,
                began: Instant::now(),
            }
        }

        /// A byte comes after so many milliseconds, when the clock shows `time`.
        fn byte(&mut self, after: u64, time: i64) {
            let arrival = Arrival {
                position: self.end,
                time,
            };
            let now = self.began + Duration::from_millis(after);
            self.times.note(&self.file, arrival, now);
            self.end += 1;
        }

        fn time(&self, position: u64) -> i64 {
            self.times.between(position, position + 1)[0].time
        }

        fn reread(&self) -> Times {
            Times::read(&self.file, self.end).unwrap()
        }
    }

    #[test]
    fn a_reader_that_keeps_up_gets_each_time_to_the_millisecond() {
        let mut stream = Stream::new();
        for at in 0..10_000 {
            stream.byte(at, at.cast_signed());
            assert_eq!(stream.time(at), at.cast_signed());
            stream.times.forget(at);
        }
        assert_eq!(stream.times.arrivals.len(), 1);
    }

    #[test]
    fn the_longer_it_waits_the_less_exact_it_gets_and_no_more_is_kept() {
        let mut stream = Stream::new();
        // Seven hours with a byte every 10 ms.
        for at in 0..2_500_000 {
            stream.byte(at * 10, at.cast_signed() * 10);
        }
        let all = stream.end.cast_signed() * 10;
        for position in (0..stream.end).step_by(997) {
            let (came, told) = (position.cast_signed() * 10, stream.time(position));
            let waited = all - came;
            assert!(told <= came, "{position}");
            assert!(came - told <= all / 32 + 10, "{told} for {came}, {waited}");
        }
        assert!(stream.times.arrivals.len() < MOST);
        assert_eq!(stream.reread().arrivals, stream.times.arrivals);
    }

    #[test]
    fn a_clock_that_is_set_back_is_accepted() {
        let mut stream = Stream::new();
        for (after, time) in [(0, 5_000), (10, 5_010), (20, 1_000), (30, 1_010)] {
            stream.byte(after, time);
        }
        let told: Vec<i64> = (0..4).map(|position| stream.time(position)).collect();
        assert_eq!(told, [5_000, 5_010, 1_000, 1_010]);
        assert_eq!(stream.reread().arrivals, stream.times.arrivals);
    }

    /// The places in the file wrap many times.
    #[test]
    fn another_process_reads_all_times_that_are_still_needed() {
        let mut stream = Stream::new();
        for at in 0..20_000 {
            stream.byte(at * 100, at.cast_signed() * 100);
            stream.times.forget(at.saturating_sub(50));
            if at % 777 == 0 {
                let expected = stream.times.arrivals.clone();
                stream.times = stream.reread();
                stream.times.forget(at.saturating_sub(50));
                assert_eq!(stream.times.arrivals, expected, "{at}");
            }
        }
    }

    #[test]
    fn a_mark_for_bytes_that_did_not_count_is_written_over() {
        let mut stream = Stream::new();
        stream.byte(0, 1_000);
        stream.byte(10, 2_000);
        // Killed before the second byte counted, which comes again.
        stream.end = 1;
        stream.times = stream.reread();
        stream.byte(20, 3_000);
        stream.times = stream.reread();
        assert_eq!((stream.time(0), stream.time(1)), (1_000, 3_000));
    }

    /// As when a log is opened, and the guest writes nothing for an hour.
    #[test]
    fn a_mark_without_bytes_does_not_give_them_its_time() {
        let mut stream = Stream::new();
        stream.byte(0, 1_000);
        stream.byte(10, 2_000);
        stream.end -= 1;
        stream.byte(3_600_000, 3_602_000);
        stream.byte(3_600_010, 3_602_010);
        let told: Vec<i64> = (0..3).map(|position| stream.time(position)).collect();
        assert_eq!(told, [1_000, 3_602_000, 3_602_010]);
        assert_eq!(stream.reread().arrivals, stream.times.arrivals);
    }

    #[test]
    fn what_is_between_begins_where_it_is_asked_for() {
        let mut stream = Stream::new();
        for at in 0..4 {
            stream.byte(at * 10, at.cast_signed() * 10);
        }
        stream.end += 100;
        let told = |from, to| -> Vec<(u64, i64)> {
            let arrivals = stream.times.between(from, to).into_iter();
            arrivals.map(|one| (one.position, one.time)).collect()
        };
        assert_eq!(told(1, 3), [(1, 10), (2, 20)]);
        assert_eq!(told(50, 60), [(50, 30)]);
        assert_eq!(told(2, 2), [(2, 20)], "nothing comes at a time too");
        assert!(Times::default().between(0, 9).is_empty());
    }
}
