// SPDX-License-Identifier: MIT
//! The way from the first instruction to the image's own `main`, and power-off.

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

/// Runs `main` on the machine of the boot loader's device tree; called once, by
/// [`entry!`](crate::entry).
pub fn run(device_tree: usize, main: fn(Machine)) {
    if let Some(machine) = Machine::described_at(device_tree) {
        main(machine);
    }
}

/// A panic powers off before the image reports that it is done.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    off()
}
