// SPDX-License-Identifier: MIT
//! D6: the line is a level, (RIS & IMSC) != 0 at every moment (TRM 2.8).

use crate::bench::{Bench, cr, int, lcr_h, pattern, reg};

#[test]
fn raw_status_ignores_the_mask() {
    let mut uart = Bench::new();
    uart.feed(b"x");
    uart.send(b"y");
    for mask in [0, int::TX, int::RX, int::ALL & !int::RT] {
        uart.write(reg::IMSC, mask);
        assert_eq!(uart.read(reg::RIS), int::RX | int::TX);
        assert_eq!(uart.read(reg::MIS), (int::RX | int::TX) & mask);
        assert_eq!(uart.line, (int::RX | int::TX) & mask != 0);
    }
}

#[test]
fn clearing_one_leaves_the_others() {
    let mut uart = Bench::new();
    uart.feed(b"x");
    uart.send(b"y");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::RX);
    assert_eq!(uart.read(reg::RIS), int::TX);
    uart.write(reg::ICR, 0);
    assert_eq!(uart.read(reg::RIS), int::TX);
    uart.write(reg::ICR, int::TX);
    assert_eq!(uart.read(reg::RIS), 0);
}

/// The line falls and rises with the access that causes it, not later.
#[test]
fn the_line_follows_every_access() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT | int::TX);
    uart.feed(b"x");
    assert!(uart.line, "input raises");
    uart.read(reg::DR);
    assert!(!uart.line, "the last read lowers");
    uart.send(b"y");
    assert!(uart.line, "output raises");
    uart.read(reg::MIS);
    uart.write(reg::ICR, int::TX);
    assert!(!uart.line, "a clear lowers");
    uart.feed(&pattern(3));
    uart.write(reg::LCR_H, lcr_h::WLEN8);
    assert!(!uart.line, "a flush lowers");
    uart.write(reg::CR, cr::LBE);
    uart.write(reg::IMSC, int::CTS);
    assert!(uart.line, "unmasking raises");
    uart.write(reg::IMSC, 0);
    assert!(!uart.line, "masking lowers");
}

#[test]
fn it_stays_high_while_any_cause_is_left() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RT | int::TX);
    uart.feed(b"x");
    uart.send(b"y");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::TX);
    assert!(uart.line);
    uart.read(reg::DR);
    assert!(!uart.line);
}
