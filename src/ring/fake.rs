// SPDX-License-Identifier: MIT
//! A ring page in ordinary memory, for tests, benches and demonstrations
//! without a hypervisor.

use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::layout::PAGE_SIZE;
use super::memory::RingMemory;

/// A page of atomic words that any number of threads may reach. A byte is part
/// of its word: bytes of one word are stored by one thread, as each buffer has
/// one side that writes it.
#[derive(Debug)]
pub struct AtomicPage([AtomicU32; PAGE_SIZE / 4]);

impl AtomicPage {
    /// A page of zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; PAGE_SIZE / 4])
    }
}

impl Default for AtomicPage {
    fn default() -> Self {
        Self::new()
    }
}

impl RingMemory for AtomicPage {
    fn load_u32(&self, offset: usize) -> u32 {
        self.0[offset / 4].load(Ordering::Relaxed)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.0[offset / 4].store(value, Ordering::Relaxed);
    }

    fn load_u8(&self, offset: usize) -> u8 {
        self.load_u32(offset).to_le_bytes()[offset % 4]
    }

    fn store_u8(&self, offset: usize, value: u8) {
        let mut bytes = self.load_u32(offset).to_le_bytes();
        bytes[offset % 4] = value;
        self.store_u32(offset, u32::from_le_bytes(bytes));
    }

    fn barrier(&self) {
        fence(Ordering::SeqCst);
    }
}
