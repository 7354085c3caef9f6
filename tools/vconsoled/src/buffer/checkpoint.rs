// SPDX-License-Identifier: MIT
//! Where in a ring the output came from, and where it ends in the buffer.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::CAPACITY;

/// Where the last bytes came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which ring.
    pub ring: u32,
    /// The ring's index after them.
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
    /// Where so many bytes after these come from, if nothing went wrong.
    pub(super) fn after(self, bytes: usize) -> Self {
        // The index goes round.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self {
            out_cons: self.out_cons.wrapping_add(bytes),
            ..self
        }
    }
}

impl Output {
    /// Takes account of bytes that were added after the record, up to `end`.
    pub(super) fn go_on_to(&mut self, end: u64) {
        let Some(bytes) = end.checked_sub(self.end) else {
            return;
        };
        // The index goes round.
        let [a, b, c, d, ..] = bytes.to_le_bytes();
        self.out_cons = self.out_cons.wrapping_add(u32::from_le_bytes([a, b, c, d]));
        self.start = self.start.max(end.saturating_sub(CAPACITY));
        self.end = end;
    }
}
