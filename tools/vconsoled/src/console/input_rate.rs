// SPDX-License-Identifier: MIT
//! The input rate of a console: bytes per second by the daemon's clock.
//!
//! Credit grows with time at the line's rate and is spent by sent bytes. Both are
//! counted in billionths of a byte without rounding, so a rate is exact over any
//! time.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// One byte.
const BYTE: u64 = 1_000_000_000;
/// A wake-up may be this late without loss of rate. The loop's timer counts in
/// milliseconds and rounds up.
const TOLERANCE: Duration = Duration::from_millis(4);

/// The pacing of a console's input.
#[derive(Debug)]
pub(super) struct InputPacing {
    /// Bytes per second.
    rate: NonZeroU32,
    /// Credit in billionths of a byte.
    earned: u64,
    /// Credit is counted up to this time.
    counted: Instant,
}

impl InputPacing {
    /// Starts without credit: the last daemon may have spent it.
    pub(super) fn new(rate: NonZeroU32, now: Instant) -> Self {
        Self {
            rate,
            earned: 0,
            counted: now,
        }
    }

    /// Changes the rate from now on.
    pub(super) fn set_rate(&mut self, rate: NonZeroU32, now: Instant) {
        self.pass_time(now);
        self.rate = rate;
        self.earned = self.earned.min(self.most());
    }

    /// Bytes that may be sent now.
    pub(super) fn allowed(&mut self, now: Instant) -> usize {
        self.pass_time(now);
        bytes(self.earned)
    }

    /// Spends credit for sent bytes.
    pub(super) fn spend(&mut self, bytes: usize) {
        let spent = (bytes as u64).saturating_mul(BYTE);
        self.earned = self.earned.saturating_sub(spent);
    }

    /// When the next byte may be sent.
    pub(super) fn next(&self) -> Instant {
        let nanos = BYTE.saturating_sub(self.earned).div_ceil(self.rate());
        self.counted + Duration::from_nanos(nanos)
    }

    /// Most bytes at once: what the line carries within the tolerance, and one
    /// byte.
    pub(super) fn burst(&self) -> usize {
        bytes(self.most())
    }

    /// Adds credit. A clock that stops or goes back earns nothing twice.
    fn pass_time(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let earned = passed.saturating_mul(self.rate());
        self.earned = self.earned.saturating_add(earned).min(self.most());
        self.counted = self.counted.max(now);
    }

    fn most(&self) -> u64 {
        let nanos = u64::from(TOLERANCE.subsec_nanos());
        BYTE + nanos * self.rate()
    }

    /// One byte per second is a billionth of a byte per nanosecond.
    fn rate(&self) -> u64 {
        self.rate.get().into()
    }
}

fn bytes(billionths: u64) -> usize {
    usize::try_from(billionths / BYTE).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(rate: u32) -> NonZeroU32 {
        NonZeroU32::new(rate).unwrap()
    }

    fn nanos(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    /// Random numbers, the same at each run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (self.0 >> 33) % below
        }
    }

    /// Bytes sent within this many nanoseconds, if polled every 4 ms at least.
    fn carried(pacing: &mut InputPacing, time: u64, random: &mut Random) -> u64 {
        let (begin, mut passed, mut bytes) = (pacing.counted, 0, 0);
        while passed < time {
            passed = (passed + 1 + random.below(4_000_000)).min(time);
            let now = pacing.allowed(begin + nanos(passed));
            pacing.spend(now);
            bytes += now as u64;
        }
        bytes
    }

    #[test]
    fn a_rate_is_exact_however_late_it_is_looked_at_within_the_tolerance() {
        let mut random = Random(1);
        for bytes_a_second in [1, 3, 10, 960, 7_000, 11_520, 92_160, 187_500, 1_000_003] {
            let mut pacing = InputPacing::new(rate(bytes_a_second), Instant::now());
            for seconds in [1, 7] {
                let went = carried(&mut pacing, seconds * 1_000_000_000, &mut random);
                let exact = u64::from(bytes_a_second) * seconds;
                assert!(went.abs_diff(exact) <= 1, "{went} bytes of {exact}");
            }
        }
    }

    #[test]
    fn no_stretch_of_time_has_more_than_its_share_and_a_burst() {
        let mut random = Random(7);
        for bytes_a_second in [1, 960, 11_520, 1_000_003] {
            let begin = Instant::now();
            let mut pacing = InputPacing::new(rate(bytes_a_second), begin);
            let burst = pacing.burst() as u64;
            assert!(burst <= 1 + u64::from(bytes_a_second) / 250);
            // Bytes sent by time, to check every interval.
            let mut went = vec![(0_u64, 0_u64)];
            for _ in 0..400 {
                // Some wake-ups are in time, some late, some much too late.
                let longest = [100_000, 4_000_000, 3_000_000_000][went.len() % 3];
                let (at, all) = *went.last().unwrap();
                let at = at + random.below(longest);
                let now = pacing.allowed(begin + nanos(at));
                // A guest with less output does not spend everything.
                let now = now.min(usize::try_from(random.below(burst + 1)).unwrap());
                pacing.spend(now);
                went.push((at, all + now as u64));
            }
            for (end, (until, all)) in went.iter().enumerate().skip(1) {
                for begin in 1..=end {
                    let (_, before) = went[begin - 1];
                    let (from, _) = went[begin];
                    let most = u128::from(until - from) * u128::from(bytes_a_second);
                    let most = most.div_ceil(1_000_000_000) + u128::from(burst);
                    assert!(u128::from(all - before) <= most, "{from} to {until}");
                }
            }
        }
    }

    #[test]
    fn the_next_byte_may_go_at_the_given_time_and_not_before() {
        for bytes_a_second in [1, 3, 960, 11_520, 999_983] {
            let mut now = Instant::now();
            let mut pacing = InputPacing::new(rate(bytes_a_second), now);
            for _ in 0..1000 {
                assert_eq!(pacing.allowed(now), 0);
                let next = pacing.next();
                let before = next.checked_sub(nanos(1)).unwrap();
                assert_eq!(pacing.allowed(before), 0);
                assert_eq!(pacing.allowed(next), 1);
                pacing.spend(1);
                now = next;
            }
        }
    }

    #[test]
    fn another_rate_holds_from_then_on() {
        let begin = Instant::now();
        let mut pacing = InputPacing::new(rate(1_000_000), begin);
        let then = begin + Duration::from_secs(9);
        assert_eq!(pacing.allowed(then), 4001);
        pacing.set_rate(rate(1000), then);
        assert_eq!(pacing.allowed(then), 5);
        pacing.spend(5);
        let then = then + Duration::from_millis(3);
        assert_eq!(pacing.allowed(then), 3);
        pacing.set_rate(rate(1_000_000), then);
        assert_eq!(pacing.allowed(then), 3, "nothing is earned afterwards");
        assert_eq!(pacing.allowed(then + nanos(1000)), 4);
    }

    #[test]
    fn a_clock_that_jumps_gives_no_more_than_a_burst() {
        let begin = Instant::now();
        let mut pacing = InputPacing::new(rate(1000), begin);
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(pacing.allowed(begin + 400 * 365 * day), 5);
        pacing.spend(5);
        assert_eq!(pacing.allowed(begin + day), 0);
        assert_eq!(pacing.allowed(begin + 400 * 365 * day), 0);
        let mut pacing = InputPacing::new(rate(1000), begin);
        for _ in 0..10 {
            assert_eq!(pacing.allowed(begin), 0);
            assert_eq!(pacing.allowed(begin + nanos(900_000)), 0);
        }
    }
}
