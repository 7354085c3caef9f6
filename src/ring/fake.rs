// SPDX-License-Identifier: MIT
//! A ring page in ordinary memory, for tests, benches and demonstrations
//! without a hypervisor.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};

use super::layout::{IN_CONS, PAGE_SIZE};
use super::memory::RingMemory;

/// A page of atomics that any number of threads may reach.
///
/// The two buffers are bytes and everything after them is words, as their
/// users access them; a word of a buffer is put together from bytes, and a
/// byte beyond the buffers is cut from its word.
#[derive(Debug)]
pub struct AtomicPage {
    buffers: [AtomicU8; IN_CONS],
    words: [AtomicU32; (PAGE_SIZE - IN_CONS) / 4],
}

impl AtomicPage {
    /// A page of zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            buffers: [const { AtomicU8::new(0) }; IN_CONS],
            words: [const { AtomicU32::new(0) }; (PAGE_SIZE - IN_CONS) / 4],
        }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4), "unaligned word at {offset:#x}");
        &self.words[(offset - IN_CONS) / 4]
    }
}

impl Default for AtomicPage {
    fn default() -> Self {
        Self::new()
    }
}

impl RingMemory for AtomicPage {
    fn load_u32(&self, offset: usize) -> u32 {
        if offset >= IN_CONS {
            return self.word(offset).load(Ordering::Relaxed);
        }
        u32::from_le_bytes(core::array::from_fn(|byte| self.load_u8(offset + byte)))
    }

    fn store_u32(&self, offset: usize, value: u32) {
        if offset >= IN_CONS {
            return self.word(offset).store(value, Ordering::Relaxed);
        }
        for (byte, value) in value.to_le_bytes().into_iter().enumerate() {
            self.store_u8(offset + byte, value);
        }
    }

    fn load_u8(&self, offset: usize) -> u8 {
        match self.buffers.get(offset) {
            Some(byte) => byte.load(Ordering::Relaxed),
            None => self.load_u32(offset & !3).to_le_bytes()[offset & 3],
        }
    }

    fn store_u8(&self, offset: usize, value: u8) {
        if let Some(byte) = self.buffers.get(offset) {
            byte.store(value, Ordering::Relaxed);
        } else {
            let mut bytes = self.load_u32(offset & !3).to_le_bytes();
            bytes[offset & 3] = value;
            self.store_u32(offset & !3, u32::from_le_bytes(bytes));
        }
    }

    fn barrier(&self) {
        fence(Ordering::SeqCst);
    }
}
