// SPDX-License-Identifier: MIT
//! Modem lines: the far side is always there and ready, but in loopback the
//! inputs are our own outputs (TRM 3.3.8, LBE).

use tock_registers::fields::Field;

use crate::interrupt::Interrupts;
use crate::registers::{CR, FR, Stored};

/// An output of UARTCR, the input of UARTFR that loopback makes of it, and the
/// interrupt of a change (TRM 2.8.1).
type Wire = (
    Field<u16, CR::Register>,
    Field<u16, FR::Register>,
    Interrupts,
);

const WIRES: [Wire; 4] = [
    (CR::RTS, FR::CTS, Interrupts::CTS),
    (CR::DTR, FR::DSR, Interrupts::DSR),
    (CR::OUT1, FR::DCD, Interrupts::DCD),
    (CR::OUT2, FR::RI, Interrupts::RI),
];

/// The modem flags of UARTFR.
#[inline]
pub(crate) fn inputs(stored: &Stored) -> u16 {
    if stored.loops_back() {
        return looped(stored);
    }
    (FR::CTS::SET + FR::DSR::SET + FR::DCD::SET).value
}

#[cold]
#[inline(never)]
fn looped(stored: &Stored) -> u16 {
    let wires = WIRES.iter().map(|(output, input, _)| {
        let level = stored.cr().read(*output);
        input.val(level).value
    });
    wires.fold(0, |inputs, input| inputs | input)
}

/// The interrupts of inputs that changed.
pub(crate) fn interrupts(changed: u16) -> Interrupts {
    let wires = WIRES.iter();
    wires
        .filter(|(_, input, _)| input.is_set(changed))
        .map(|(.., interrupt)| *interrupt)
        .collect()
}
