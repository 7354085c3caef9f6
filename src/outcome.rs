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
pub struct Outcome {
    /// The value read, zero-extended; 0 for anything that is not a read.
    pub value: u32,
    /// UARTMIS after the access: the line is high while this is not empty.
    pub pending: Interrupts,
    /// The backend must be notified once the lock is dropped.
    pub doorbell: bool,
    /// The guest looked at UARTFR while characters wait that the backend does
    /// not take: it will look again until the backend has run. A CPU that both
    /// share is better given away.
    pub stalled: bool,
    /// What polled registers show until the next entry.
    pub glance: Glance,
}
