// SPDX-License-Identifier: MIT
//! Values of options that require parsing.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp, Zoned};
use regex::bytes::{Regex, RegexBuilder};

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Timestamp);

impl FromStr for Time {
    type Err = String;

    /// `2026-11-29T17:03:05+01:00`, the same without an offset in local time, or an
    /// age: `90s`, `10m`, `2h`, `7d`.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, &Zoned::now()).ok_or_else(|| {
            format!("{text:?} is neither a time, such as 2026-11-29T17:03, nor an age, such as 10m")
        })
    }
}

impl Time {
    fn parse(text: &str, now: &Zoned) -> Option<Self> {
        let ago = |unit: char, seconds: i64| {
            let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
            let ago = SignedDuration::from_secs(count.checked_mul(seconds)?);
            now.timestamp().checked_sub(ago).ok()
        };
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86400)];
        let ago = units
            .into_iter()
            .find_map(|(unit, seconds)| ago(unit, seconds));
        let absolute = || text.parse::<Timestamp>().ok();
        let local = || {
            let time: DateTime = text.parse().ok()?;
            Some(time.to_zoned(now.time_zone().clone()).ok()?.timestamp())
        };
        ago.or_else(absolute).or_else(local).map(Self)
    }
}

/// An amount of history, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scrollback(pub(crate) u64);

impl FromStr for Scrollback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => return Ok(Self(0)),
            "all" => return Ok(Self(u64::MAX)),
            _ => {}
        }
        let digits = text.trim_end_matches(['k', 'K', 'm', 'M']);
        let unit = match &text[digits.len()..] {
            "" => Some(1),
            "k" | "K" => Some(1 << 10),
            "m" | "M" => Some(1 << 20),
            _ => None,
        };
        digits
            .parse()
            .ok()
            .zip(unit)
            .and_then(|(number, unit): (u64, u64)| number.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is neither bytes, like 64K, nor none or all"))
    }
}

/// A factor for the speed.
pub(crate) fn speed(text: &str) -> Result<f64, String> {
    let speed = text
        .parse()
        .ok()
        .filter(|speed| (0.01..=1000.0).contains(speed));
    speed.ok_or_else(|| format!("{text:?} is no number between 0.01 and 1000"))
}

/// A number of seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.0..=1e9).contains(seconds));
    seconds.ok_or_else(|| format!("{text:?} is no number of seconds"))
}

/// A regular expression from the command line.
pub(crate) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .multi_line(true)
        .size_limit(1 << 20)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_local_or_ago() {
        let now: Zoned = "2026-11-29T17:00:00+01:00[Europe/Berlin]"
            .parse()
            .or_else(|_| "2026-11-29T17:00:00+01:00[+01:00]".parse())
            .unwrap();
        for (text, expected) in [
            ("2026-11-29T17:03:05+01:00", "2026-11-29T16:03:05Z"),
            ("2026-11-29T17:03:05Z", "2026-11-29T17:03:05Z"),
            ("2026-11-29T17:03", "2026-11-29T16:03:00Z"),
            ("2026-11-29 17:03:05", "2026-11-29T16:03:05Z"),
            ("2026-11-29", "2026-11-28T23:00:00Z"),
            ("90s", "2026-11-29T15:58:30Z"),
            ("10m", "2026-11-29T15:50:00Z"),
            ("2h", "2026-11-29T14:00:00Z"),
            ("1d", "2026-11-28T16:00:00Z"),
        ] {
            let time = Time::parse(text, &now).map(|time| time.0);
            assert_eq!(time, Some(expected.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "now",
            "10",
            "m",
            "99999999999999999999s",
            "9223372036854775807d",
            "25:00",
        ] {
            assert_eq!(Time::parse(text, &now), None, "{text}");
        }
    }

    #[test]
    fn history_is_given_in_bytes() {
        for (text, bytes) in [
            ("none", 0),
            ("0", 0),
            ("512", 512),
            ("64K", 65536),
            ("1m", 1_048_576),
            ("all", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Scrollback(bytes)), "{text:?}");
        }
        for text in ["", "K", "-1", "64KK", "64G", "99999999999999999999", "1.5M"] {
            assert!(text.parse::<Scrollback>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn speeds_and_pauses_are_numbers_that_can_be_waited_for() {
        assert_eq!((speed("2"), speed("0.5")), (Ok(2.0), Ok(0.5)));
        assert_eq!((seconds("0"), seconds("1.5")), (Ok(0.0), Ok(1.5)));
        for text in ["", "fast", "-1", "nan", "inf", "1e300"] {
            assert!(speed(text).is_err() && seconds(text).is_err(), "{text:?}");
        }
        assert!(speed("0").is_err());
    }

    #[test]
    fn patterns_are_bounded() {
        assert!(pattern("(").is_err());
        assert!(pattern("(a{1000}){1000}").is_err());
    }
}
