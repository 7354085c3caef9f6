// SPDX-License-Identifier: MIT
//! D1: who the device says it is (TRM 3.3.15 to 3.3.22).

use crate::bench::{Bench, fr, reg};

#[test]
fn identification_is_r1p5() {
    let mut uart = Bench::new();
    let ids: Vec<u32> = (0xFE0..=0xFFC)
        .step_by(4)
        .map(|offset| uart.read(offset))
        .collect();
    assert_eq!(ids, [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1]);
}

/// Linux's AMBA bus: part and designer in bits 19:0, and revision 3 or later
/// means FIFOs of 32.
#[test]
fn revision_matches_the_depth() {
    let mut uart = Bench::with_room(0).fifos();
    let periphid = (0..4).fold(0, |id, i| id | uart.read(0xFE0 + 4 * i) << (8 * i));
    assert_eq!(periphid & 0xF_FFFF, 0x4_1011);
    assert!(periphid >> 20 & 0xF >= 3);
    for queued in 0..32 {
        assert!(!uart.any(reg::FR, fr::TXFF), "TXFF with {queued} queued");
        uart.send(b"x");
    }
    assert!(uart.any(reg::FR, fr::TXFF));
}

#[test]
fn identification_ignores_writes() {
    let mut uart = Bench::new();
    uart.write(0xFE0, 0xFF);
    uart.write(0xFFC, 0);
    assert_eq!((uart.read(0xFE0), uart.read(0xFFC)), (0x11, 0xB1));
}
