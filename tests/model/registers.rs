// SPDX-License-Identifier: MIT
//! The register file: reset values, bits that exist, access rights (TRM 3.2).

use crate::bench::{Bench, cr, fr, int, lcr_h, reg};

#[test]
fn reset_values() {
    let mut uart = Bench::new();
    for (offset, value) in [
        (reg::DR, 0),
        (reg::RSR, 0),
        // TXFE and RXFE; a far side that is present and ready.
        (reg::FR, 0x97),
        (reg::ILPR, 0),
        (reg::IBRD, 0),
        (reg::FBRD, 0),
        (reg::LCR_H, 0),
        (reg::CR, 0x300),
        (reg::IFLS, 0x12),
        (reg::IMSC, 0),
        (reg::RIS, 0),
        (reg::MIS, 0),
        (reg::ICR, 0),
        (reg::DMACR, 0),
    ] {
        assert_eq!(uart.read(offset), value, "register {offset:#05x}");
    }
}

#[test]
fn reserved_bits_read_as_zero() {
    for (offset, bits) in [
        (reg::ILPR, 0xFF),
        (reg::IBRD, 0xFFFF),
        (reg::FBRD, 0x3F),
        (reg::LCR_H, 0xFF),
        (reg::CR, 0xFF87),
        (reg::IFLS, 0x3F),
        (reg::IMSC, 0x7FF),
        (reg::DMACR, 0x7),
    ] {
        let mut uart = Bench::new();
        uart.write(offset, 0xFFFF_FFFF);
        assert_eq!(uart.read(offset), bits, "register {offset:#05x}");
        uart.write(offset, 0);
        assert_eq!(uart.read(offset), 0, "register {offset:#05x}");
    }
}

/// EDK2 re-programs the port at every start unless these read back exactly;
/// NuttX and Zephyr decide by them too.
#[test]
fn configuration_reads_back() {
    let mut uart = Bench::new();
    for (offset, value) in [
        (reg::IBRD, 13),
        (reg::FBRD, 1),
        (reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8),
        (reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::RTS | cr::DTR),
        (reg::IFLS, 0x23),
        (reg::IMSC, int::RX | int::RT),
    ] {
        uart.write(offset, value);
        assert_eq!(uart.read(offset), value, "register {offset:#05x}");
    }
}

#[test]
fn read_only_registers_ignore_writes() {
    let mut uart = Bench::new();
    uart.send(b"x");
    for offset in [reg::FR, reg::RIS, reg::MIS] {
        let before = uart.read(offset);
        uart.write(offset, 0xFFFF_FFFF);
        uart.write(offset, 0);
        assert_eq!(uart.read(offset), before, "register {offset:#05x}");
    }
}

/// Stock Xen aborts the guest that reads it.
#[test]
fn clear_register_reads_zero() {
    let mut uart = Bench::new();
    uart.send(b"x");
    assert_eq!(uart.read(reg::ICR), 0);
    assert!(uart.any(reg::RIS, int::TX), "reading ICR clears nothing");
}

/// TRM 3.3.5 and 3.3.6 forbid some divisors; no line here runs at any of them.
#[test]
fn divisors_do_not_matter() {
    for (ibrd, fbrd) in [
        (0, 0),
        (0, 63),
        (0xFFFF, 63),
        (0xFFFF_FFFF, 1),
        (0xF800_0000, 0),
    ] {
        let mut uart = Bench::new();
        uart.write(reg::IBRD, ibrd);
        uart.write(reg::FBRD, fbrd);
        uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        uart.send(b"ok");
        uart.feed(b"in");
        assert_eq!(uart.output(), b"ok");
        assert_eq!(uart.receive_all(), b"in");
        assert!(!uart.any(reg::FR, fr::BUSY));
    }
}

#[test]
fn dma_control_is_stored_only() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::DMACR, 7);
    uart.feed(b"input");
    uart.send(b"output");
    assert_eq!(uart.read(reg::DMACR), 7);
    assert_eq!(uart.receive_all(), b"input");
    assert_eq!(uart.output(), b"output");
}
