// SPDX-License-Identifier: MIT
//! The FIFO that both directions use (TRM 2.4.2, 2.4.3): 32 deep, or a single
//! holding register while `LCR_H.FEN` is 0.

use heapless::Deque;

/// Entries of a FIFO of an r1p5 PL011.
pub(crate) const DEPTH: usize = 32;

/// A bounded queue with the TRM's idea of full.
#[derive(Clone, Debug)]
pub(crate) struct Fifo<T> {
    entries: Deque<T, DEPTH>,
    enabled: bool,
}

impl<T> Fifo<T> {
    /// An empty, disabled FIFO.
    pub(crate) const fn new() -> Self {
        Self {
            entries: Deque::new(),
            enabled: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Full as the guest sees it: it may hold more when FEN was cleared while
    /// entries were queued.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.depth()
    }

    /// Entries it holds as the guest sees it.
    pub(crate) fn depth(&self) -> usize {
        if self.enabled { DEPTH } else { 1 }
    }

    /// FEN: decides the depth, keeps the entries.
    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Appends an entry wherever there is storage for it, whatever FEN says;
    /// `false` when there is none.
    pub(crate) fn push(&mut self, entry: T) -> bool {
        self.entries.push_back(entry).is_ok()
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.entries.pop_front()
    }

    pub(crate) fn front(&self) -> Option<&T> {
        self.entries.front()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// The level that an IFLS field selects (TRM 3.3.9); the reserved values mean
/// the highest.
pub(crate) fn trigger(select: u16) -> u8 {
    match select {
        0 => 4,
        1 => 8,
        2 => 16,
        3 => 24,
        _ => 28,
    }
}
