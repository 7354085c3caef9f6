// SPDX-License-Identifier: MIT
//! The FIFO that both directions use (TRM 2.4.2, 2.4.3): 32 deep, or a single
//! holding register while `LCR_H.FEN` is 0.

use core::fmt;

/// Entries of a FIFO of an r1p5 PL011; a power of two.
pub(crate) const DEPTH: usize = 32;

/// A bounded queue. FEN limits how much of it the guest sees in use.
#[derive(Clone, Default)]
pub(crate) struct Fifo<T> {
    entries: [T; DEPTH],
    first: u8,
    len: u8,
}

impl<T: Copy + Default> Fifo<T> {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.into()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether all of its storage is used.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len() == DEPTH
    }

    /// Appends an entry wherever there is storage for it, whatever FEN says;
    /// `false` when there is none.
    #[inline]
    pub(crate) fn push(&mut self, entry: T) -> bool {
        if self.is_full() {
            return false;
        }
        self.entries[(usize::from(self.first) + self.len()) % DEPTH] = entry;
        self.len += 1;
        true
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        let front = self.front()?;
        self.first = self.first.wrapping_add(1);
        self.len -= 1;
        Some(front)
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<T> {
        (self.len > 0).then(|| self.entries[usize::from(self.first) % DEPTH])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        (usize::from(self.first)..)
            .take(self.len())
            .map(|at| self.entries[at % DEPTH])
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}

impl<T: Copy + Default + fmt::Debug> fmt::Debug for Fifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
