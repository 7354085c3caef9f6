// SPDX-License-Identifier: MIT
//! Limits the audit lines that one user causes: further lines are left out and
//! counted, and one line in their place gives the number.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Users counted separately; further ones share one limit.
const USERS_MAX: usize = 1024;
const OTHERS: u32 = u32::MAX;
/// How long lines are left out, at least, before one reports their number.
const PERIOD: Duration = Duration::from_secs(1);

/// The limits of all users.
#[derive(Default)]
pub(super) struct Limits {
    /// Lines per second, without a limit if 0, and lines at once.
    rate: u32,
    burst: u32,
    users: BTreeMap<u32, User>,
    /// Lines left out, of all users.
    pub(super) left_out: u64,
}

/// The state of one user.
struct User {
    /// When the lines so far would all have been made at the rate.
    earned: Instant,
    /// Lines left out since the last report, and since when.
    left_out: u64,
    since: Instant,
}

impl User {
    /// When the next line is allowed.
    fn next(&self, each: Duration, burst: u32) -> Instant {
        let ahead = each * (burst.max(1) - 1);
        self.earned.checked_sub(ahead).unwrap_or(self.earned)
    }

    /// When left-out lines may be reported.
    fn due(&self, each: Duration, burst: u32) -> Instant {
        self.next(each, burst).max(self.since + PERIOD)
    }

    fn make(&mut self, each: Duration, now: Instant) {
        self.earned = self.earned.max(now) + each;
    }
}

impl Limits {
    pub(super) fn set(&mut self, rate: u32, burst: u32) {
        (self.rate, self.burst) = (rate, burst);
    }

    fn each(&self) -> Duration {
        let each = Duration::from_secs(1).checked_div(self.rate);
        each.unwrap_or_default()
    }

    /// Whether a line of that user is allowed now.
    pub(super) fn admits(&mut self, uid: u32, now: Instant) -> bool {
        let (each, burst) = (self.each(), self.burst);
        if !self.users.contains_key(&uid) && self.users.len() >= USERS_MAX {
            // Users without recent lines have no state.
            let holds = |user: &User| user.left_out > 0 || user.earned > now;
            self.users.retain(|_, user| holds(user));
        }
        let is_known = self.users.contains_key(&uid) || self.users.len() < USERS_MAX;
        let user = self.users.entry(if is_known { uid } else { OTHERS });
        let user = user.or_insert(User {
            earned: now,
            left_out: 0,
            since: now,
        });
        // In order: no line comes before the report of left-out ones.
        if user.left_out == 0 && user.next(each, burst) <= now {
            user.make(each, now);
            return true;
        }
        if user.left_out == 0 {
            user.since = now;
        }
        user.left_out += 1;
        self.left_out += 1;
        false
    }

    /// Users with left-out lines and their number, if the report is due or `all`
    /// is set.
    pub(super) fn ended(&mut self, now: Instant, all: bool) -> Vec<(u32, u64)> {
        let (each, burst) = (self.each(), self.burst);
        let mut ended = Vec::new();
        for (uid, user) in &mut self.users {
            if user.left_out > 0 && (all || user.due(each, burst) <= now) {
                user.make(each, now);
                ended.push((*uid, std::mem::take(&mut user.left_out)));
            }
        }
        ended
    }

    /// When the next report is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let (each, burst) = (self.each(), self.burst);
        let users = self.users.values().filter(|user| user.left_out > 0);
        users.map(|user| user.due(each, burst)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate: u32, burst: u32) -> Limits {
        let mut limits = Limits::default();
        limits.set(rate, burst);
        limits
    }

    #[test]
    fn a_user_makes_so_many_lines_and_one_that_counts_the_rest() {
        let now = Instant::now();
        let at = |milliseconds| now + Duration::from_millis(milliseconds);
        let mut limits = limits(10, 5);
        let made = |limits: &mut Limits, uid, count, now| {
            (0..count).filter(|_| limits.admits(uid, now)).count()
        };
        assert_eq!(made(&mut limits, 1, 100, now), 5);
        assert_eq!(made(&mut limits, 2, 3, now), 3, "another user's");
        assert_eq!(limits.next(), Some(at(1000)));
        assert_eq!(limits.ended(at(999), false), []);
        // No line comes between left-out ones and their report.
        assert!(!limits.admits(1, at(999)));
        assert_eq!(limits.ended(at(1000), false), [(1, 96)]);
        assert_eq!(limits.next(), None);
        // The report counts as a line.
        assert_eq!(made(&mut limits, 1, 100, at(1000)), 4);
        assert_eq!(limits.ended(at(1001), true), [(1, 96)]);
        assert_eq!(limits.left_out, 192);
        assert_eq!(
            made(&mut limits, 1, 100, at(60_000)),
            5,
            "no more at once, ever"
        );
    }

    #[test]
    fn every_line_is_made_or_counted_and_over_time_there_are_no_more_than_the_rate() {
        let now = Instant::now();
        let mut limits = limits(20, 50);
        let (mut made, mut counted, mut told) = (0, 0, 0);
        for millisecond in 0..10_000 {
            let now = now + Duration::from_millis(millisecond);
            for (_, count) in limits.ended(now, false) {
                counted += count;
                told += 1;
            }
            made += u64::from(limits.admits(7, now));
        }
        let end = now + Duration::from_secs(10);
        counted += limits
            .ended(end, true)
            .iter()
            .map(|(_, count)| count)
            .sum::<u64>();
        assert_eq!(made + counted, 10_000);
        assert_eq!(counted, limits.left_out);
        assert!((200..=250).contains(&(made + told)), "{made} and {told}");
        assert!(told <= 10, "{told}");
    }

    #[test]
    fn without_a_rate_there_is_no_limit_and_users_are_bounded() {
        let now = Instant::now();
        let mut free = limits(0, 0);
        assert!((0..10_000).all(|_| free.admits(1, now)));
        let mut limits = limits(1, 1);
        assert!((0..10_000).filter(|uid| limits.admits(*uid, now)).count() <= USERS_MAX + 1);
        assert!(limits.users.len() <= USERS_MAX + 1);
        // Later all of them are allowed again.
        let later = now + Duration::from_secs(3600);
        limits.ended(later, true);
        let later = later + Duration::from_secs(3600);
        assert!(limits.admits(20_000, later) && limits.users.len() == 1);
        // A user with unreported lines is not dropped.
        assert!(!limits.admits(20_000, later));
        let later = later + Duration::from_secs(2);
        assert!((0..10_000).any(|uid| !limits.admits(uid, later)));
        assert_eq!(limits.ended(later, true)[..1], [(20_000, 1)]);
    }
}
