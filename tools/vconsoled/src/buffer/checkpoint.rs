// SPDX-License-Identifier: MIT
//! The position in a ring that output was read up to, and the buffer's end there.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::CAPACITY;

/// The ring position after the last bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ring.
    pub ring: u32,
    /// The ring's index.
    pub out_cons: u32,
}

/// [`Record::Output`](super::Record::Output).
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct Output {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) ring: u32,
    pub(super) out_cons: u32,
}

impl Checkpoint {
    /// The checkpoint after this many more bytes of the same ring.
    pub(super) fn after(self, bytes: usize) -> Self {
        // The index wraps.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            out_cons: self.out_cons.wrapping_add(bytes),
            ..self
        }
    }
}

impl Output {
    /// Adds bytes that were appended after the record, up to `end`.
    pub(super) fn go_on_to(&mut self, end: u64) {
        let Some(bytes) = end.checked_sub(self.end) else {
            return;
        };
        // The index wraps.
        let [a, b, c, d, ..] = bytes.to_le_bytes();
        self.out_cons = self.out_cons.wrapping_add(u32::from_le_bytes([a, b, c, d]));
        self.start = self.start.max(end.saturating_sub(CAPACITY));
        self.end = end;
    }
}
