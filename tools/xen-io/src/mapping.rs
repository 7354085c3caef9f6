// SPDX-License-Identifier: MIT
//! A file mapped for frequent small writes. Other readers use the file.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FsWord, fstatfs};
use rustix::mm::Advice;

use crate::mapped::Mapped;

/// The `f_type` of a file system in memory (Linux, `magic.h`).
const TMPFS_MAGIC: FsWord = 0x0102_1994;

/// The beginning of a file, unmapped when dropped. Bytes are copied to and from
/// it, and no reference into it is ever made.
#[derive(Debug)]
pub struct Mapping(Mapped);

impl Mapping {
    /// Maps the first `length` bytes of a file, which must be that long and must
    /// not shrink. Only a file in memory is accepted: an I/O error of a disk
    /// would end the process.
    pub fn of(file: impl AsFd, length: usize) -> io::Result<Self> {
        if fstatfs(&file)?.f_type != TMPFS_MAGIC {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self(Mapped::shared(file, 0, length)?))
    }

    /// Allocates the pages from `offset` on, so that writing there cannot fail.
    /// `offset` must be that of a page.
    ///
    /// # Panics
    ///
    /// Like the others, if the range is not in the mapping.
    pub fn populate(&mut self, offset: usize, length: usize) -> io::Result<()> {
        let at = self.at::<u8>(offset, length).cast::<c_void>();
        // SAFETY: `at` keeps the range within the mapping; this advice changes
        // no byte of it.
        unsafe { rustix::mm::madvise(at, length, Advice::LinuxPopulateWrite)? };
        Ok(())
    }

    /// Writes bytes to populated pages.
    ///
    /// # Panics
    ///
    /// If the range is not in the mapping.
    pub fn store(&mut self, offset: usize, bytes: &[u8]) {
        let at = self.at(offset, bytes.len());
        // SAFETY: `at` keeps the range within the mapping, which is writable
        // and is reached through `&mut self` alone; `bytes` is no part of it,
        // as no reference into it is made.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
    }

    /// Copies out bytes from populated pages.
    ///
    /// # Panics
    ///
    /// If the range is not in the mapping.
    pub fn load(&self, offset: usize, bytes: &mut [u8]) {
        let at = self.at::<u8>(offset, bytes.len());
        // SAFETY: `at` keeps the range within the mapping, to which this process
        // writes through `&mut self` alone; `bytes` is no part of it, as no
        // reference into it is made.
        unsafe { std::ptr::copy_nonoverlapping(at, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Writes a word at a multiple of 8 atomically, after all earlier writes.
    ///
    /// # Panics
    ///
    /// If the word is not in the mapping.
    pub fn publish(&mut self, offset: usize, word: u64) {
        let at = self.at(offset, size_of::<u64>());
        // SAFETY: `at` gives an aligned address in the mapping, which lives as
        // long as `self`; the word is reached by this atomic alone.
        unsafe { AtomicU64::from_ptr(at) }.store(word, Ordering::Release);
    }

    /// The address of a range.
    fn at<T>(&self, offset: usize, length: usize) -> *mut T {
        let aligned = offset.is_multiple_of(align_of::<T>());
        let fits = offset
            .checked_add(length)
            .is_some_and(|end| end <= self.0.length);
        assert!(
            aligned && fits,
            "{length} bytes at {offset} are not in the mapping"
        );
        // SAFETY: the assertion keeps the address within the mapping.
        unsafe { self.0.base.as_ptr().add(offset) }.cast()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    fn file(length: u64) -> File {
        let file = File::from(memfd_create("mapping", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(length).unwrap();
        file
    }

    #[test]
    fn what_is_written_is_in_the_file() {
        let file = file(16384);
        let mut mapping = Mapping::of(&file, 16384).unwrap();
        mapping.populate(4096, 8192).unwrap();
        mapping.store(5000, b"bytes");
        mapping.publish(4096, 0x0807_0605_0403_0201);
        let mut bytes = [0; 5];
        file.read_exact_at(&mut bytes, 5000).unwrap();
        assert_eq!(&bytes, b"bytes");
        file.write_all_at(b"other", 5001).unwrap();
        mapping.load(5000, &mut bytes);
        assert_eq!(&bytes, b"bothe");
        let mut word = [0; 8];
        file.read_exact_at(&mut word, 4096).unwrap();
        assert_eq!(u64::from_ne_bytes(word), 0x0807_0605_0403_0201);
    }

    #[test]
    fn room_that_there_is_not_is_an_error() {
        let mut mapping = Mapping::of(file(4096), 8192).unwrap();
        mapping.populate(0, 4096).unwrap();
        assert!(mapping.populate(4096, 4096).is_err());
    }

    #[test]
    fn only_memory_will_do() {
        assert!(Mapping::of(File::open("/proc/self/exe").unwrap(), 4096).is_err());
    }

    #[test]
    #[should_panic(expected = "not in the mapping")]
    fn bytes_beyond_it_are_a_bug() {
        Mapping::of(file(4096), 4096).unwrap().store(4090, &[0; 7]);
    }
}
