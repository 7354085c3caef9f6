// SPDX-License-Identifier: MIT
//! A slice of the writer thread, and its result.

use std::time::Instant;

/// Buffers for output, and for its rendered form.
pub(super) struct Buffers {
    pub(super) raw: Vec<u8>,
    pub(super) text: Vec<u8>,
}

/// The result of a log's slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There was nothing to write; more output is signalled.
    Nothing,
    /// Everything is written; more output is not signalled.
    Wrote,
    /// There may be more.
    Partly,
    /// Blocked until that time.
    Later(Instant),
    /// Nothing to do until that time, or until more output is signalled.
    Again(Instant),
}

/// Whether a log is completed and closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// It stays open.
    No,
    /// Another daemon continues it.
    ForNow,
    /// Its console is gone: no output follows.
    ForGood,
}
