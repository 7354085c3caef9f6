// SPDX-License-Identifier: MIT
//! Rate limits: a token bucket for each user or address.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Most users or addresses with a bucket; beyond it, the one that was inactive
/// longest is removed.
const KNOWN_MAX: usize = 4096;

/// Buckets by user or address.
pub(crate) struct Buckets<K> {
    /// Tokens in a full bucket.
    full: u32,
    /// The time in which one token is added.
    each: Duration,
    /// When each bucket will be full again.
    known: Mutex<HashMap<K, Instant>>,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    pub(crate) fn new(full: u32, each: Duration) -> Self {
        Self {
            full,
            each,
            known: Mutex::default(),
        }
    }

    /// Takes a token; returns whether there was one.
    pub(crate) fn take(&self, who: &K) -> bool {
        self.take_at(who, Instant::now())
    }

    /// Whether there is a token, without taking it.
    pub(crate) fn may(&self, who: &K) -> bool {
        let now = Instant::now();
        let known = self.known.lock();
        known.is_ok_and(|known| self.filled(&known, who, now) <= self.most(now))
    }

    /// When the bucket would be full again if one more token were taken.
    fn filled(&self, known: &HashMap<K, Instant>, who: &K, now: Instant) -> Instant {
        known.get(who).copied().unwrap_or(now).max(now) + self.each
    }

    /// When an empty bucket would be full.
    fn most(&self, now: Instant) -> Instant {
        now + self.each * self.full
    }

    fn take_at(&self, who: &K, now: Instant) -> bool {
        let Ok(mut known) = self.known.lock() else {
            return false;
        };
        let filled = self.filled(&known, who, now);
        if filled > self.most(now) {
            return false;
        }
        if known.len() >= KNOWN_MAX && !known.contains_key(who) {
            known.retain(|_, filled| *filled > now);
            let oldest = known.iter().min_by_key(|(_, filled)| **filled);
            let oldest = oldest.map(|(who, _)| who.clone());
            if let Some(oldest) = oldest.filter(|_| known.len() >= KNOWN_MAX) {
                known.remove(&oldest);
            }
        }
        known.insert(who.clone(), filled);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_run_out_and_come_back_for_each_alone() {
        let buckets = Buckets::new(3, Duration::from_secs(10));
        let start = Instant::now();
        let at = |who, seconds| buckets.take_at(&who, start + Duration::from_secs(seconds));
        assert!(at(1, 0) && at(1, 0) && at(1, 0) && !at(1, 0));
        assert!(at(2, 0), "another has tries of its own");
        assert!(!at(1, 9) && at(1, 10) && !at(1, 10));
        // Inactivity does not raise the number above three.
        assert!(at(1, 1000) && at(1, 1000) && at(1, 1000) && !at(1, 1000));
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let buckets = Buckets::new(1, Duration::from_secs(10));
        let now = Instant::now();
        for who in 0..KNOWN_MAX + 64 {
            assert!(buckets.take_at(&who, now));
        }
        assert!(buckets.known.lock().unwrap().len() <= KNOWN_MAX);
    }
}
