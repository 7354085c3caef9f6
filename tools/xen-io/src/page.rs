// SPDX-License-Identifier: MIT
//! A mapped page that another domain also writes to.

use std::any::Any;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{self, AtomicU8, AtomicU32, AtomicU64, Ordering};

use vpl011::ring::memory::RingMemory;

use crate::mapped::Mapped;

/// Xen's page size, which may differ from the kernel's.
pub const XEN_PAGE_SIZE: usize = 4096;

/// Size of a word for copying, in bytes.
const WORD: usize = size_of::<u64>();

/// Number of words read per iteration.
const AT_ONCE: usize = 8;

#[inline]
fn load(word: &AtomicU64, bytes: &mut [u8; WORD]) {
    *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
}

/// Bytes from `offset` to the next word.
fn to_word(offset: usize) -> usize {
    offset.next_multiple_of(WORD) - offset
}

/// A page shared with another domain, unmapped when dropped.
///
/// The page is accessed only by single atomic loads and stores, through
/// references to atomics.
pub struct Page {
    mapped: Mapped,
    /// Keeps the page alive beyond the mapping; dropped after it.
    _backing: Box<dyn Any + Send + Sync>,
}

impl Page {
    /// Maps one page of `fd` at `offset`, shared, for reading and writing.
    pub(crate) fn map(
        fd: BorrowedFd<'_>,
        offset: u64,
        backing: impl Any + Send + Sync,
    ) -> io::Result<Self> {
        // A kernel with larger pages maps one of its own.
        let length = XEN_PAGE_SIZE.max(rustix::param::page_size());
        Ok(Self {
            mapped: Mapped::shared(fd, offset, length)?,
            _backing: Box::new(backing),
        })
    }

    /// The address of the mapping.
    pub(crate) fn address(&self) -> u64 {
        self.mapped.base.as_ptr().addr() as u64
    }

    /// All words of the page.
    fn words(&self) -> &[AtomicU64; XEN_PAGE_SIZE / WORD] {
        // SAFETY: the mapping starts at a page's boundary, is at least
        // XEN_PAGE_SIZE long and lives as long as `self`, and nothing in this
        // process reaches it but by atomics.
        unsafe { self.mapped.base.cast().as_ref() }
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(
            offset.is_multiple_of(align_of::<T>()) && offset <= XEN_PAGE_SIZE - size_of::<T>(),
            "offset {offset} is not that of a word in the page"
        );
        // SAFETY: the assertion keeps the word within the mapping, which is
        // at least XEN_PAGE_SIZE long.
        unsafe { self.mapped.base.as_ptr().add(offset) }.cast()
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: `at` gives an aligned address in a mapping that lives as
        // long as `self`, and nothing in this process reaches it but by
        // atomics.
        unsafe { AtomicU32::from_ptr(self.at(offset)) }
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: as for `word`.
        unsafe { AtomicU8::from_ptr(self.at(offset)) }
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

    fn load_bytes(&self, offset: usize, bytes: &mut [u8]) {
        let (head, rest) = bytes.split_at_mut(to_word(offset).min(bytes.len()));
        let (middle, tail) = rest.as_chunks_mut::<WORD>();
        let first = offset + head.len();
        let end = first + WORD * middle.len();
        for (at, byte) in (offset..first).zip(head).chain((end..).zip(tail)) {
            *byte = self.load_u8(at);
        }
        let words = &self.words()[first / WORD..end / WORD];
        // Several per iteration reduce the loop's overhead.
        let (many, few) = words.as_chunks::<AT_ONCE>();
        let (to_many, to_few) = middle.as_chunks_mut::<AT_ONCE>();
        for (words, bytes) in many.iter().zip(to_many) {
            for at in 0..AT_ONCE {
                load(&words[at], &mut bytes[at]);
            }
        }
        for (word, bytes) in few.iter().zip(to_few) {
            load(word, bytes);
        }
    }

    fn store_bytes(&self, offset: usize, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(to_word(offset).min(bytes.len()));
        let (middle, tail) = rest.as_chunks::<WORD>();
        let first = offset + head.len();
        let end = first + WORD * middle.len();
        for (at, byte) in (offset..first).zip(head).chain((end..).zip(tail)) {
            self.store_u8(at, *byte);
        }
        let words = &self.words()[first / WORD..end / WORD];
        for (word, bytes) in words.iter().zip(middle) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn barrier(&self) {
        atomic::fence(Ordering::SeqCst);
    }
}

// SAFETY: every access through `&Page` is atomic.
unsafe impl Sync for Page {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn page() -> Page {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        Page::map(file.as_fd(), 0, ()).unwrap()
    }

    #[test]
    fn words_and_bytes_share_the_page() {
        let page = page();
        page.store_u32(3084, 0x0403_0201);
        let mut bytes = [0; 4];
        page.load_bytes(3084, &mut bytes);
        assert_eq!(u32::from_ne_bytes(bytes), 0x0403_0201);
        page.store_bytes(4092, &[9, 8, 7, 6]);
        assert_eq!(page.load_u32(4092), u32::from_ne_bytes([9, 8, 7, 6]));
    }

    #[test]
    fn bytes_are_copied_from_and_to_anywhere() {
        let page = page();
        for offset in 1000..1020 {
            for length in 0..40 {
                let sent: Vec<u8> = (1..=length).collect();
                page.store_bytes(900, &[0; 300]);
                page.store_bytes(offset, &sent);
                let mut around = [0xff; 300];
                page.load_bytes(900, &mut around);
                let end = offset - 900 + sent.len();
                assert_eq!(around[offset - 900..end], sent);
                assert!(around[..offset - 900].iter().all(|byte| *byte == 0));
                assert!(around[end..].iter().all(|byte| *byte == 0));
                let mut came = vec![0; sent.len()];
                page.load_bytes(offset, &mut came);
                assert_eq!(came, sent);
            }
        }
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn bytes_beyond_the_page_are_a_bug() {
        page().store_bytes(4090, &[0; 14]);
    }

    #[test]
    #[should_panic(expected = "not that of a word")]
    fn a_word_beyond_the_page_is_a_bug() {
        page().load_u32(4096);
    }

    #[test]
    #[should_panic(expected = "not that of a word")]
    fn a_word_across_a_boundary_is_a_bug() {
        page().load_u32(2);
    }
}
