// SPDX-License-Identifier: MIT
//! What the caller must do after an entry point returns.
//!
//! The device makes no callbacks. It returns what changed, and the caller acts:
//! first on the interrupt line, with the lock held, then, with the lock dropped, on
//! the doorbell.

use crate::glance::Glance;
use crate::interrupt::Interrupts;

/// The result of every entry point of [`Uart`](crate::Uart).
#[must_use = "the interrupt line and the doorbell are the caller's to drive"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The value read, zero-extended; 0 for anything that is not a read.
    pub value: u32,
    /// UARTMIS after the access: the line is high while this is not empty.
    pub pending: Interrupts,
    /// The backend must be notified once the lock is dropped.
    pub doorbell: bool,
    /// The guest read UARTFR for the second time in a row, without input, while
    /// characters wait that the backend does not take: it will read again until the
    /// backend has run. If both share a CPU, the caller should yield it.
    pub stalled: bool,
    /// What polled registers show until the next entry.
    pub glance: Glance,
}

impl Outcome {
    /// The level of the interrupt line.
    #[must_use]
    pub const fn line(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// The level of the interrupt line as last driven, for callers that act only on
/// changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line(bool);

impl Line {
    /// The level now, if `outcome` has changed it.
    pub fn follow(&mut self, outcome: &Outcome) -> Option<bool> {
        let was = core::mem::replace(&mut self.0, outcome.line());
        (was != self.0).then_some(self.0)
    }
}
