// SPDX-License-Identifier: MIT
//! From the first instruction to the image's own `main`, and the end.

use core::arch::global_asm;
use core::panic::PanicInfo;

use crate::machine::Machine;

global_asm!(include_str!("head.S"), include_str!("start.S"));

unsafe extern "C" {
    safe fn bare_metal_off() -> !;
}

/// Switches the machine off.
pub fn off() -> ! {
    bare_metal_off()
}

/// Runs `main` on the machine that the boot loader described; called once, by
/// [`entry!`](crate::entry).
pub fn run(device_tree: usize, main: fn(Machine)) {
    if let Some(machine) = Machine::described_at(device_tree) {
        main(machine);
    }
}

/// Whoever started the image sees it go off before it said that it is done.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    off()
}
