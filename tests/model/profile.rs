// SPDX-License-Identifier: MIT
//! The SBSA profile: the Generic UART of Arm's SBSA (DEN0029), the part of a PL011
//! that an operating system needs after firmware has configured it.

use conformance::drivers::{Kind, Linux, bounded_exchange};
use conformance::{Uart, pattern};
use vpl011::Profile;
use vpl011::trap::Width;

use crate::bench::{Bench, cr, fr, int, reg};

/// The Generic UART's registers.
const OFFERED: [u16; 7] = [
    reg::DR,
    reg::RSR,
    reg::FR,
    reg::IMSC,
    reg::RIS,
    reg::MIS,
    reg::ICR,
];

fn sbsa() -> Bench {
    Bench::with_profile(Profile::Sbsa, usize::MAX)
}

/// Linux's SBSA driver writes DMACR, and some drivers write `LCR_H` and CR.
#[test]
fn sbsa_offers_its_registers_alone() {
    for offset in (0..0x1000).filter(|offset| !OFFERED.contains(offset)) {
        let mut uart = sbsa();
        for width in [Width::Byte, Width::Half, Width::Word] {
            uart.write_as(offset, width, 0xFFFF_FFFF);
            assert_eq!(uart.read_as(offset, width), 0, "offset {offset:#05x}");
        }
        assert_eq!(uart.output(), b"", "offset {offset:#05x}");
    }
}

#[test]
fn sbsa_reset_values() {
    let mut uart = sbsa();
    for offset in OFFERED {
        // TXFE and RXFE; a far side that is present and ready.
        let value = if offset == reg::FR { 0x97 } else { 0 };
        assert_eq!(uart.read(offset), value, "register {offset:#05x}");
    }
    uart.write(reg::IMSC, 0xFFFF_FFFF);
    assert_eq!(uart.read(reg::IMSC), int::ALL);
}

/// Without a write of `LCR_H`.
#[test]
fn sbsa_has_its_fifos_from_reset() {
    let mut uart = Bench::with_profile(Profile::Sbsa, 0);
    let mut sent = 0;
    while !uart.any(reg::FR, fr::TXFF) {
        uart.send(b"x");
        sent += 1;
    }
    assert_eq!(sent, 32);
    uart.feed(pattern(40));
    assert_eq!(uart.uart.backend().input.len(), 40 - 32);
    assert!(uart.any(reg::FR, fr::RXFF));
}

/// IFLS is not accessible, so the levels are those after reset: half.
#[test]
fn sbsa_levels_are_half() {
    let mut uart = Bench::with_profile(Profile::Sbsa, 0);
    uart.feed(pattern(15));
    assert!(!uart.any(reg::RIS, int::RX));
    uart.feed(pattern(1));
    assert!(uart.any(reg::RIS, int::RX));
    uart.send(pattern(17));
    assert!(!uart.any(reg::RIS, int::TX));
    uart.give_room(1);
    assert!(uart.any(reg::RIS, int::TX));
}

/// Writes that would flush a FIFO, loop back or send a break on a PL011.
#[test]
fn sbsa_cannot_be_configured() {
    let mut uart = sbsa();
    uart.feed(b"kept");
    uart.write(reg::LCR_H, 0);
    uart.write(reg::CR, cr::LBE | cr::RXE);
    uart.send(b"out");
    assert_eq!(uart.output(), b"out");
    assert_eq!(uart.receive_all(), b"kept");
}

/// The driver for this profile.
#[test]
fn linux_sbsa_driver() {
    for (output, input) in [(700, 0), (0, 500), (700, 500)] {
        let mut bench = sbsa();
        let mut uart = Uart::quiesced(&mut bench).unwrap();
        let mut driver = Linux::new(Kind::Sbsa);
        let (output, input) = (pattern(output), pattern(input));
        bounded_exchange(&mut uart, &mut driver, None, output, input).unwrap();
    }
}

#[test]
fn the_full_profile_is_the_default() {
    assert_eq!(Profile::default(), Profile::Pl011);
}
