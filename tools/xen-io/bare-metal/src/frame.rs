// SPDX-License-Identifier: MIT
//! The register frame of a device: single loads and stores that may abort.

use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use safe_mmio::UniqueMmioPointer;
use vpl011::trap::Width;

/// Bytes of a frame.
const SIZE: usize = 0x1000;

/// Set by the vector in start.S when an access was skipped.
#[unsafe(no_mangle)]
static bare_metal_aborted: AtomicU32 = AtomicU32::new(0);

/// An access caused a data abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort;

/// A device's page of registers.
#[derive(Debug)]
pub struct Frame {
    base: NonNull<u8>,
}

impl Frame {
    /// The device's page at `base`.
    ///
    /// # Safety
    ///
    /// `base` is the address of a page of a device whose registers do not access
    /// this image's memory, and nothing else accesses it.
    pub(crate) unsafe fn at(base: usize) -> Option<Self> {
        let base = NonNull::new(base as *mut u8)?;
        Some(Self { base })
    }

    /// The device as registers of type `T`.
    ///
    /// # Panics
    ///
    /// If `T` is larger than the frame, or needs another alignment.
    #[must_use]
    pub fn into_registers<T>(self) -> UniqueMmioPointer<'static, T> {
        let registers = self.base.cast::<T>();
        assert!(size_of::<T>() <= SIZE && registers.is_aligned());
        // SAFETY: the frame was this value's alone, is as large as T, aligned
        // for it, and is never given back.
        unsafe { UniqueMmioPointer::new(registers) }
    }

    /// The device's address, for a driver that makes its own pointer from it.
    #[must_use]
    pub fn into_address(self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Loads from `offset`, which is a multiple of the width.
    ///
    /// # Panics
    ///
    /// If the access is not aligned or not within the frame.
    pub fn read(&mut self, offset: u16, width: Width) -> Result<u32, Abort> {
        let address = self.address(offset, bytes(width));
        let value: u32;
        match width {
            // SAFETY: an aligned load from the device's page, which has no
            // effect on memory; one that aborts is skipped.
            Width::Byte => unsafe {
                asm!("mov {0:w}, wzr", "ldrb {0:w}, [{1}]", out(reg) value, in(reg) address, options(nostack));
            },
            // SAFETY: as above.
            Width::Half => unsafe {
                asm!("mov {0:w}, wzr", "ldrh {0:w}, [{1}]", out(reg) value, in(reg) address, options(nostack));
            },
            // SAFETY: as above.
            Width::Word => unsafe {
                asm!("mov {0:w}, wzr", "ldr {0:w}, [{1}]", out(reg) value, in(reg) address, options(nostack));
            },
        }
        finished().map(|()| value)
    }

    /// Loads 64 bits from `offset`, which is a multiple of 8.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn read_wide(&mut self, offset: u16) -> Result<u64, Abort> {
        let address = self.address(offset, 8);
        let value: u64;
        // SAFETY: as in `read`.
        unsafe {
            asm!("mov {0}, xzr", "ldr {0}, [{1}]", out(reg) value, in(reg) address, options(nostack));
        }
        finished().map(|()| value)
    }

    /// Stores to `offset`, which is a multiple of the width.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    pub fn write(&mut self, offset: u16, width: Width, value: u32) -> Result<(), Abort> {
        let address = self.address(offset, bytes(width));
        match width {
            // SAFETY: an aligned store to the device's page, whose registers
            // touch no memory; one that aborts is skipped.
            Width::Byte => unsafe {
                asm!("strb {0:w}, [{1}]", in(reg) value, in(reg) address, options(nostack));
            },
            // SAFETY: as above.
            Width::Half => unsafe {
                asm!("strh {0:w}, [{1}]", in(reg) value, in(reg) address, options(nostack));
            },
            // SAFETY: as above.
            Width::Word => unsafe {
                asm!("str {0:w}, [{1}]", in(reg) value, in(reg) address, options(nostack));
            },
        }
        finished()
    }

    fn address(&self, offset: u16, bytes: u16) -> *mut u8 {
        let offset = usize::from(offset);
        assert!(offset.is_multiple_of(bytes.into()) && offset + usize::from(bytes) <= SIZE);
        self.base.as_ptr().wrapping_add(offset)
    }
}

/// Size of an access in bytes.
fn bytes(width: Width) -> u16 {
    1 << width as u16
}

/// Whether the last access was skipped.
fn finished() -> Result<(), Abort> {
    // No read-modify-write: with the MMU off there are no exclusive accesses.
    if bare_metal_aborted.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    bare_metal_aborted.store(0, Ordering::Relaxed);
    Err(Abort)
}
