// SPDX-License-Identifier: MIT
//! The shared ring page, as mapped by the hypervisor.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};

use vpl011::ring::layout::PAGE_SIZE;
use vpl011::ring::memory::RingMemory;

/// A mapped page that the backend writes concurrently.
///
/// Every access is one relaxed atomic load or store: the only kind that is defined
/// while another party writes, and that the compiler neither splits nor repeats. An
/// offset outside the page panics.
#[derive(Debug)]
pub struct Page {
    base: NonNull<u8>,
}

impl Page {
    /// The page at `base`.
    ///
    /// # Safety
    ///
    /// `base` points to [`PAGE_SIZE`] bytes, aligned to that size, that stay mapped for
    /// reading and writing while the `Page` is in use, and into which no Rust reference
    /// points except to atomics.
    #[must_use]
    pub const unsafe fn new(base: NonNull<u8>) -> Self {
        Self { base }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset < PAGE_SIZE && offset.is_multiple_of(size_of::<u32>()));
        // SAFETY: `offset` is below PAGE_SIZE, so the sum stays within the
        // mapped page.
        let at = unsafe { self.base.add(offset) };
        // SAFETY: `at` is aligned, as page and offset are, so the whole word lies
        // within the page; the backend is another machine's program, so its writes
        // count as atomic.
        unsafe { AtomicU32::from_ptr(at.cast().as_ptr()) }
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        assert!(offset < PAGE_SIZE);
        // SAFETY: `offset` is below PAGE_SIZE, so the sum stays within the
        // mapped page.
        let at = unsafe { self.base.add(offset) };
        // SAFETY: as for a word; a byte needs no alignment.
        unsafe { AtomicU8::from_ptr(at.as_ptr()) }
    }
}

impl RingMemory for Page {
    fn load_u32(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Relaxed)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Relaxed);
    }

    fn load_u8(&self, offset: usize) -> u8 {
        self.byte(offset).load(Ordering::Relaxed)
    }

    fn store_u8(&self, offset: usize, value: u8) {
        self.byte(offset).store(value, Ordering::Relaxed);
    }

    fn barrier(&self) {
        // `dmb ish`, which is Xen's smp_mb().
        fence(Ordering::SeqCst);
    }
}
