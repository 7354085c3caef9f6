// SPDX-License-Identifier: MIT
//! Memory mapped from a file or device, until it is dropped.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags};

/// A range of this process's addresses, shared with other mappings of the same
/// file; unmapped when dropped. Its owner defines how it is accessed.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(crate) base: NonNull<u8>,
    /// In bytes.
    pub(crate) length: usize,
}

impl Mapped {
    /// Maps `length` bytes of `fd` from `offset` on, for reading and writing.
    pub(crate) fn shared(fd: impl AsFd, offset: u64, length: usize) -> io::Result<Self> {
        // SAFETY: with a null hint and no MAP_FIXED the kernel picks a range
        // that nothing of this process uses.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                offset,
            )?
        };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let base = self.base.as_ptr().cast::<c_void>();
        // SAFETY: `shared` made this mapping with this length, and what borrows
        // from it borrows its owner, which goes with it.
        let unmapped = unsafe { rustix::mm::munmap(base, self.length) };
        debug_assert!(
            unmapped.is_ok(),
            "munmap refused a mapping of ours: {unmapped:?}"
        );
    }
}

// SAFETY: the mapping belongs to the process rather than to a thread.
unsafe impl Send for Mapped {}
