// SPDX-License-Identifier: MIT
//! The semihosting console, for which QEMU has a character device.

use core::arch::asm;

const SYS_WRITEC: u64 = 0x03;
const SYS_READC: u64 = 0x07;

pub(crate) fn put(byte: u8) {
    // SAFETY: the request reads one byte, which is there.
    unsafe {
        asm!(
            "hlt #0xf000",
            inout("x0") SYS_WRITEC => _,
            inout("x1") &raw const byte => _,
            options(nostack)
        );
    }
}

/// Waits for a byte.
pub(crate) fn get() -> u8 {
    let byte: u64;
    // SAFETY: QEMU leaves the byte in front of the stack, where nothing of
    // ours is, interrupts being masked. That is where it is read from: QEMU 7.2
    // returns in x0 what was there before.
    unsafe {
        asm!(
            "hlt #0xf000",
            "ldurb w0, [sp, #-1]",
            inout("x0") SYS_READC => byte,
            inout("x1") 0_u64 => _,
        );
    }
    byte.to_le_bytes()[0]
}
