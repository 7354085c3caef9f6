// SPDX-License-Identifier: MIT
//! A ring page whose indices, thresholds and a few bytes are loom's.

use std::collections::BTreeMap;

use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};
use std::sync::Arc;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::layout::{
    EVENT_INDEX, IN_CONS, IN_EVENT, IN_PROD, OUT_CONS, OUT_EVENT, OUT_PROD,
};
use vpl011::ring::memory::RingMemory;

/// The words that either side reads while the other writes them.
const WORDS: [usize; 7] = [
    IN_CONS,
    IN_PROD,
    OUT_CONS,
    OUT_PROD,
    EVENT_INDEX,
    OUT_EVENT,
    IN_EVENT,
];

/// Whether [`RingMemory::barrier`] orders anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barriers {
    /// It does.
    Kept,
    /// It does not: the defect that these models must find.
    Left,
}

/// A ring page that two threads of a model share.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Page>);

#[derive(Debug)]
struct Page {
    words: BTreeMap<usize, AtomicU32>,
    bytes: BTreeMap<usize, AtomicU8>,
    /// What no thread writes.
    rest: AtomicPage,
    barriers: Barriers,
}

impl Shared {
    /// A page with the contents of `from`. `bytes` are the offsets of those
    /// that are written while the model runs.
    #[must_use]
    pub fn new(from: &AtomicPage, bytes: impl Iterator<Item = usize>, barriers: Barriers) -> Self {
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
                .map(|offset| (offset, AtomicU8::new(from.load_u8(offset))))
                .collect(),
            rest,
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
            Some(byte) => byte.load(Ordering::Relaxed),
            None => self.0.rest.load_u8(offset),
        }
    }

    fn store_u8(&self, offset: usize, value: u8) {
        match self.0.bytes.get(&offset) {
            Some(byte) => byte.store(value, Ordering::Relaxed),
            None => self.0.rest.store_u8(offset, value),
        }
    }

    fn barrier(&self) {
        if self.0.barriers == Barriers::Kept {
            fence(Ordering::SeqCst);
        }
    }
}
