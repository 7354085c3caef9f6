// SPDX-License-Identifier: MIT
//! A slice of the thread that writes, and what became of it.

use std::time::Instant;

/// What is read from an output buffer, and what that looks like in a log.
pub(super) struct Buffers {
    pub(super) raw: Vec<u8>,
    pub(super) text: Vec<u8>,
}

/// What became of a log's slice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There was nothing to write; of more it is told.
    Nothing,
    /// All there was is written; nobody tells of more.
    Wrote,
    /// There may be more.
    Partly,
    /// Nothing can be done before that.
    Later(Instant),
    /// There is nothing to do before that, unless it is told of more.
    Again(Instant),
}

/// Whether a log is completed, and then let go of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// It goes on.
    No,
    /// Another daemon goes on with it.
    ForNow,
    /// Its console has gone: what is held is all there will be.
    ForGood,
}
