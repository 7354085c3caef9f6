// SPDX-License-Identifier: MIT
//! The only call from Rust into C: a panic is a defect and stops the hypervisor.

use core::panic::PanicInfo;

unsafe extern "C" {
    fn vpl011_panic(file: *const u8, length: usize, line: u32) -> !;
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |at| (at.file(), at.line()));
    // SAFETY: the C side reads `length` bytes at `file`, which is a static `str` of
    // that length, and does not return.
    unsafe { vpl011_panic(file.as_ptr(), file.len(), line) }
}
