// SPDX-License-Identifier: MIT
//! The limit of output that waits for the viewers of all consoles together. Below
//! [`WAITING_MAX`] each console may fill its whole buffer; above, its equal
//! share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Waiting output is at most twice this in all, besides what each console keeps
/// for later viewers.
pub(crate) const WAITING_MAX: u64 = 64 << 20;

/// Waiting bytes of all consoles, and the number of consoles with any.
#[derive(Clone, Default)]
pub(crate) struct Allowance(Arc<Totals>);

#[derive(Default)]
struct Totals {
    bytes: AtomicU64,
    consoles: AtomicU64,
}

/// The waiting bytes of one console.
pub(super) struct Waiting {
    allowance: Allowance,
    bytes: u64,
}

impl Waiting {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            bytes: 0,
        }
    }

    /// Sets the number of waiting bytes.
    pub(super) fn set(&mut self, bytes: u64) {
        let Totals {
            bytes: all,
            consoles,
        } = &*self.allowance.0;
        // Only the event loop changes the totals.
        all.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        let more = u64::from(bytes > 0).wrapping_sub(u64::from(self.bytes > 0));
        consoles.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
    }

    /// How many bytes may wait.
    pub(super) fn most(&self) -> u64 {
        let Totals { bytes, consoles } = &*self.allowance.0;
        if bytes.load(Ordering::Relaxed) < WAITING_MAX {
            return u64::MAX;
        }
        WAITING_MAX / consoles.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::CAPACITY;

    #[test]
    fn what_waits_is_bounded_whatever_comes_in_whatever_order() {
        let allowance = Allowance::default();
        let mut consoles: Vec<Waiting> =
            (0..200).map(|_| Waiting::new(allowance.clone())).collect();
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let which = usize::try_from(state >> 33).unwrap() % consoles.len();
            let console = &mut consoles[which];
            let more = console.bytes + (state >> 50);
            console.set(more.min(CAPACITY).min(console.most()));
            let all: u64 = consoles.iter().map(|one| one.bytes).sum();
            assert_eq!(all, allowance.0.bytes.load(Ordering::Relaxed));
            assert!(all <= 2 * WAITING_MAX + CAPACITY, "{all} bytes wait");
        }
        assert!(allowance.0.bytes.load(Ordering::Relaxed) > WAITING_MAX / 2);
        drop(consoles);
        let Totals { bytes, consoles } = &*allowance.0;
        assert_eq!(bytes.load(Ordering::Relaxed), 0);
        assert_eq!(consoles.load(Ordering::Relaxed), 0);
    }
}
