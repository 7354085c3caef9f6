// SPDX-License-Identifier: MIT
//! Limits the audit lines that one user causes: further lines are left out and
//! counted, and one line in their place gives the number.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Users that are told apart; more of them are one.
const USERS_MAX: usize = 1024;
const OTHERS: u32 = u32::MAX;
/// How long lines are left out, at least, before one says how many.
const PERIOD: Duration = Duration::from_secs(1);

/// What each user may make.
#[derive(Default)]
pub(super) struct Limits {
    /// So many lines a second, without a limit if 0, and so many at once.
    rate: u32,
    burst: u32,
    users: BTreeMap<u32, User>,
    /// Lines that were left out, of all users.
    pub(super) left_out: u64,
}

/// What a user has made.
struct User {
    /// When as many lines would have been made at the rate.
    earned: Instant,
    /// How many were left out, of which no line tells yet, and since when.
    left_out: u64,
    since: Instant,
}

impl User {
    /// When the next line may be made.
    fn next(&self, each: Duration, burst: u32) -> Instant {
        let ahead = each * (burst.max(1) - 1);
        self.earned.checked_sub(ahead).unwrap_or(self.earned)
    }

    /// When a line may tell of what was left out.
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

    /// Whether a line of that user's is made now.
    pub(super) fn admits(&mut self, uid: u32, now: Instant) -> bool {
        let (each, burst) = (self.each(), self.burst);
        if !self.users.contains_key(&uid) && self.users.len() >= USERS_MAX {
            // Nothing holds for those who have made nothing for long.
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
        // In its place: nothing comes before the line that tells of what was left out.
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

    /// Users of whom lines were left out, and how many, if that may be told now or `all`
    /// is to be.
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

    /// When there will be something to tell.
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
        // Nothing is made between what was left out and the line that tells of it.
        assert!(!limits.admits(1, at(999)));
        assert_eq!(limits.ended(at(1000), false), [(1, 96)]);
        assert_eq!(limits.next(), None);
        // That was a line too.
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
        // Later all of them may again.
        let later = now + Duration::from_secs(3600);
        limits.ended(later, true);
        let later = later + Duration::from_secs(3600);
        assert!(limits.admits(20_000, later) && limits.users.len() == 1);
        // Of whom lines were left out that no line tells of yet, nobody is forgotten.
        assert!(!limits.admits(20_000, later));
        let later = later + Duration::from_secs(2);
        assert!((0..10_000).any(|uid| !limits.admits(uid, later)));
        assert_eq!(limits.ended(later, true)[..1], [(20_000, 1)]);
    }
}
