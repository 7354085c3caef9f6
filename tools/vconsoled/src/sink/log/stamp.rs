// SPDX-License-Identifier: MIT
//! The time before a line: its first byte's arrival in ISO 8601, with
//! milliseconds and local time's offset from UTC; and the time of a recording's
//! event.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::buffer::{Arrival, OutputBuffer};

/// Texts for the starts of lines, each valid from an index in some bytes. Empty
/// for none.
pub(super) type Stamps = Vec<(usize, String)>;

/// Stamps for `length` bytes of an output from `position` on.
pub(super) fn stamps(output: &OutputBuffer, position: u64, length: usize) -> Stamps {
    written_by(output, position, length, stamp)
}

/// Times of a recording's events, from its file's start `base`.
pub(super) fn seconds(output: &OutputBuffer, position: u64, length: usize, base: i64) -> Stamps {
    written_by(output, position, length, |one| after(one, base))
}

/// Seconds between `base` and an arrival.
pub(super) fn after(arrival: Arrival, base: i64) -> String {
    let after = arrival.time.saturating_sub(base).max(0);
    format!("{}.{:03}", after / 1000, after % 1000)
}

fn written_by(
    output: &OutputBuffer,
    position: u64,
    length: usize,
    write: impl Fn(Arrival) -> String,
) -> Stamps {
    let arrivals = output.arrivals(position, position + length as u64);
    let place = |at: u64| usize::try_from(at - position).unwrap_or(length);
    let stamps = arrivals.into_iter();
    stamps
        .map(|one| (place(one.position), write(one)))
        .collect()
}

/// Stamps for the daemon's own lines.
pub(super) fn now() -> Stamps {
    vec![(0, stamp(Arrival::now(0)))]
}

fn stamp(arrival: Arrival) -> String {
    written(arrival, TimeZone::system())
}

fn written(arrival: Arrival, zone: TimeZone) -> String {
    let time = Timestamp::from_millisecond(arrival.time).unwrap_or_default();
    time.to_zoned(zone).strftime("[%FT%T%.3f%:z] ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_milliseconds_and_an_offset() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (time, text) in [
            (1_796_000_585_123, "[2026-11-30T02:03:05.123+01:00] "),
            (1_783_000_000_000, "[2026-07-02T15:46:40.000+02:00] "),
            (i64::MAX, "[1970-01-01T01:00:00.000+01:00] "),
        ] {
            let arrival = Arrival { position: 0, time };
            assert_eq!(written(arrival, zone.clone()), text);
        }
    }
}
