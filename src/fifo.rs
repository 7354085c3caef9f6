// SPDX-License-Identifier: MIT
//! The FIFO that both directions use (TRM 2.4.2, 2.4.3): 32 deep, or a single
//! holding register while `LCR_H.FEN` is 0.

use heapless::Deque;

/// Entries of a FIFO of an r1p5 PL011.
pub(crate) const DEPTH: usize = 32;

/// A bounded queue. How much of it the guest may see used is FEN's matter.
#[derive(Clone, Debug)]
pub(crate) struct Fifo<T>(Deque<T, DEPTH>);

impl<T> Fifo<T> {
    /// An empty FIFO.
    pub(crate) const fn new() -> Self {
        Self(Deque::new())
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of its storage is used.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Appends an entry wherever there is storage for it, whatever FEN says;
    /// `false` when there is none.
    #[inline]
    pub(crate) fn push(&mut self, entry: T) -> bool {
        self.0.push_back(entry).is_ok()
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        self.0.front()
    }

    #[cfg(feature = "snapshot")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The level that an IFLS field selects (TRM 3.3.9); the reserved values mean
/// the highest.
#[inline]
pub(crate) fn trigger(select: u16) -> usize {
    match select {
        0 => 4,
        1 => 8,
        2 => 16,
        3 => 24,
        _ => 28,
    }
}
