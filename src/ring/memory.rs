// SPDX-License-Identifier: MIT
//! Access to a page that a hostile peer may change at any moment.

/// A shared page, reached only by single loads and stores.
///
/// No method hands out a reference into the page, and none performs an atomic
/// read-modify-write, which a peer could starve. Offsets are those of
/// [`layout`](super::layout); an implementation may panic on one outside the
/// page, as no caller computes an offset from the page's contents.
pub trait RingMemory {
    /// Loads one aligned, naturally atomic word (relaxed).
    fn load_u32(&self, offset: usize) -> u32;
    /// Stores one aligned, naturally atomic word (relaxed).
    fn store_u32(&self, offset: usize, value: u32);
    /// Loads one byte (relaxed).
    fn load_u8(&self, offset: usize) -> u8;
    /// Stores one byte (relaxed).
    fn store_u8(&self, offset: usize, value: u8);
    /// Loads bytes from `offset` on (relaxed), in any order and in pieces of
    /// any size.
    fn load_bytes(&self, offset: usize, bytes: &mut [u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            *byte = self.load_u8(at);
        }
    }
    /// Stores bytes from `offset` on (relaxed), in any order and in pieces of
    /// any size.
    fn store_bytes(&self, offset: usize, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            self.store_u8(at, *byte);
        }
    }
    /// Orders every access before it against every access after it, as seen
    /// by the other side (Xen `smp_mb`).
    fn barrier(&self);
}

impl<T: RingMemory + ?Sized> RingMemory for &T {
    fn load_u32(&self, offset: usize) -> u32 {
        (**self).load_u32(offset)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        (**self).store_u32(offset, value);
    }

    fn load_u8(&self, offset: usize) -> u8 {
        (**self).load_u8(offset)
    }

    fn store_u8(&self, offset: usize, value: u8) {
        (**self).store_u8(offset, value);
    }

    fn load_bytes(&self, offset: usize, bytes: &mut [u8]) {
        (**self).load_bytes(offset, bytes);
    }

    fn store_bytes(&self, offset: usize, bytes: &[u8]) {
        (**self).store_bytes(offset, bytes);
    }

    fn barrier(&self) {
        (**self).barrier();
    }
}
