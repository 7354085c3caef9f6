// SPDX-License-Identifier: MIT
//! The guest: a driver that has only the device's addresses.

use std::sync::atomic::Ordering;

use crate::{FRAME, Vmm};

// Registers and bits that a driver needs (TRM 3.2, 3.3.3, 3.3.10).
const DR: u64 = FRAME.start;
const FR: u64 = FRAME.start + 0x18;
const IMSC: u64 = FRAME.start + 0x38;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
const RX_AND_RT: u32 = (1 << 4) | (1 << 6);

/// Waits for room before each character.
fn print(vmm: &Vmm, text: &str) {
    for byte in text.bytes() {
        while vmm.load(FR) & FR_TXFF != 0 {}
        vmm.store(DR, byte.into());
    }
}

/// The interrupt handler: takes all input.
fn take(vmm: &Vmm) -> String {
    let mut taken = String::new();
    while vmm.load(FR) & FR_RXFE == 0 {
        taken.push(char::from((vmm.load(DR) & 0xFF) as u8));
    }
    taken
}

/// Prints a question, reads the answer by interrupt, and prints a greeting. Returns
/// the output, and the interrupt line before, during and after the input.
pub(crate) fn run() -> (String, [bool; 3]) {
    let vmm = Vmm::new();
    let line = || vmm.interrupt.load(Ordering::Acquire);
    vmm.store(IMSC, RX_AND_RT);
    print(&vmm, "Who is there?\n");
    let before = line();
    vmm.typed("a stranger");
    let during = line();
    let name = take(&vmm);
    print(&vmm, &format!("Hello, {name}.\n"));
    let after = line();
    let said = vmm.uart.lock().backend().said.clone();
    (
        String::from_utf8_lossy(&said).into_owned(),
        [before, during, after],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access;

    #[test]
    fn the_guest_sends_and_receives() {
        let (said, lines) = run();
        assert_eq!(said, "Who is there?\nHello, a stranger.\n");
        assert_eq!(lines, [false, true, false]);
    }

    #[test]
    fn the_device_answers_in_its_frame_only() {
        assert!(access(FRAME.start - 1).is_none());
        assert!(access(FRAME.end - 4).is_some());
        assert!(access(FRAME.end).is_none());
    }
}
