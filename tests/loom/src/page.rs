// SPDX-License-Identifier: MIT
//! A ring page whose indices, thresholds and a few bytes are loom's.

use std::collections::BTreeMap;

use loom::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::Arc;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::layout::{
    EVENT_INDEX, IN_CONS, IN_EVENT, IN_PROD, INPUT_EVENT, OUT, OUT_CONS, OUT_EVENT, OUT_PROD,
};
use vpl011::ring::memory::RingMemory;

/// The words that one side reads while the other writes them.
const WORDS: [usize; 8] = [
    IN_CONS,
    IN_PROD,
    OUT_CONS,
    OUT_PROD,
    EVENT_INDEX,
    OUT_EVENT,
    IN_EVENT,
    INPUT_EVENT,
];

/// Whether [`RingMemory::barrier`] orders anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barriers {
    /// It does.
    Kept,
    /// It does not: the defect that the models must find.
    Left,
}

/// A byte of a buffer. In loom no load happens after a later store of the same
/// side, so a byte that is read too late cannot be found by its value. Instead the
/// reader stores a mark in place of the load, and the writer must see the mark.
#[derive(Debug)]
struct Slot {
    /// The byte, and above it the number of writes.
    written: AtomicU32,
    /// The number of the write that was read last.
    read: AtomicU32,
    /// The port writes it, without a barrier between the load of the index that
    /// gives it room and the store: it has a branch, after which no processor
    /// stores before the load is done. loom does not model branches.
    branch: bool,
}

impl Slot {
    fn new(byte: u8, unread: bool, branch: bool) -> Self {
        Self {
            written: AtomicU32::new(u32::from(unread) << 8 | u32::from(byte)),
            read: AtomicU32::new(0),
            branch,
        }
    }

    fn load(&self) -> u8 {
        let written = self.written.load(Ordering::Relaxed);
        self.read.store(written >> 8, Ordering::Relaxed);
        written.to_le_bytes()[0]
    }

    fn store(&self, byte: u8) {
        if self.branch {
            fence(Ordering::Acquire);
        }
        let last = self.written.load(Ordering::Relaxed) >> 8;
        let read = self.read.load(Ordering::Relaxed);
        assert_eq!(read, last, "written over before it was read");
        let next = (last + 1) << 8 | u32::from(byte);
        self.written.store(next, Ordering::Relaxed);
    }
}

/// A ring page that two threads of a model share.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Page>);

#[derive(Debug)]
struct Page {
    words: BTreeMap<usize, AtomicU32>,
    bytes: BTreeMap<usize, Slot>,
    /// The part that no thread writes.
    rest: AtomicPage,
    /// Stored to before a barrier. loom switches threads only before an access, and
    /// only if the other thread's access is related: otherwise a store and the
    /// barrier after it would be one step.
    pause: AtomicU32,
    barriers: Barriers,
}

impl Shared {
    /// A page with the contents of `from`. `bytes` are the offsets of the bytes
    /// written while the model runs, each with whether it waits to be read.
    #[must_use]
    pub fn new(
        from: &AtomicPage,
        bytes: impl Iterator<Item = (usize, bool)>,
        barriers: Barriers,
    ) -> Self {
        let rest = AtomicPage::new();
        for offset in (0..4096).step_by(4) {
            rest.store_u32(offset, from.load_u32(offset));
        }
        Self(Arc::new(Page {
            words: WORDS
                .into_iter()
                .map(|offset| (offset, AtomicU32::new(from.load_u32(offset))))
                .collect(),
            bytes: bytes
                .map(|(offset, unread)| {
                    let byte = Slot::new(from.load_u8(offset), unread, offset >= OUT);
                    (offset, byte)
                })
                .collect(),
            rest,
            pause: AtomicU32::new(0),
            barriers,
        }))
    }
}

impl RingMemory for Shared {
    fn load_u32(&self, offset: usize) -> u32 {
        self.0.words[&offset].load(Ordering::Relaxed)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.0.words[&offset].store(value, Ordering::Relaxed);
    }

    fn load_u8(&self, offset: usize) -> u8 {
        match self.0.bytes.get(&offset) {
            Some(byte) => byte.load(),
            None => self.0.rest.load_u8(offset),
        }
    }

    fn store_u8(&self, offset: usize, value: u8) {
        match self.0.bytes.get(&offset) {
            Some(byte) => byte.store(value),
            None => self.0.rest.store_u8(offset, value),
        }
    }

    fn barrier(&self) {
        if self.0.barriers == Barriers::Kept {
            self.0.pause.store(0, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }
}
