// SPDX-License-Identifier: MIT
//! What the caller must do after an entry point returns.
//!
//! The device never calls out. It says what changed, and whoever holds the
//! lock acts: first the interrupt line, then, with the lock dropped, the
//! doorbell.

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
    /// The guest looked at UARTFR for the second time in a row, with nothing to
    /// read, while characters wait that the backend does not take: it will look
    /// again until the backend has run. A CPU that both share is better given
    /// away.
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

/// The level of the interrupt line as a caller has driven it, who wants to hear
/// of changes alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line(bool);

impl Line {
    /// The level now, if `outcome` has changed it.
    pub fn follow(&mut self, outcome: &Outcome) -> Option<bool> {
        let was = core::mem::replace(&mut self.0, outcome.line());
        (was != self.0).then_some(self.0)
    }
}
