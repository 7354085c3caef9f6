// SPDX-License-Identifier: MIT
//! D3: on a wire a FIFO's depth of characters written at once makes it full.
//! Here no time passes in which it would drain, so one look shows it
//! (`docs/adr/a-burst-is-shown-once.md`).

use crate::bench::{Bench, cr, fr, int, lcr_h, reg};

const TX: u32 = fr::TXFF | fr::TXFE | fr::BUSY;
const FULL: u32 = fr::TXFF | fr::BUSY;
const LINE: &[u8; 80] = &[b'-'; 80];

#[test]
fn a_burst_is_shown_at_one_look() {
    let mut uart = Bench::new().fifos();
    for _ in 0..3 {
        for &byte in &LINE[..32] {
            assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
            uart.send(&[byte]);
        }
        assert_eq!(uart.peek(reg::FR), None, "only the device can tell");
        assert_eq!(uart.read(reg::FR) & TX, FULL);
        assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    }
    assert_eq!(uart.output().len(), 96);
}

/// However long it was, it has drained by the next look.
#[test]
fn a_long_burst_is_shown_once_too() {
    let mut uart = Bench::new().fifos();
    uart.send(LINE);
    assert_eq!(uart.read(reg::FR) & TX, FULL);
    uart.send(&LINE[..31]);
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    uart.send(&LINE[..1]);
    assert_eq!(uart.read(reg::FR) & TX, FULL);
}

/// A single holding register is not shown as full, nor is a loop.
#[test]
fn only_fifos_on_the_line_have_bursts() {
    let mut uart = Bench::new();
    uart.send(LINE);
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    let mut uart = Bench::new().fifos();
    uart.send(LINE);
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::LBE);
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
}

/// What really waits is shown for as long as it waits.
#[test]
fn a_line_that_stalls_is_shown_at_each_look() {
    let mut uart = Bench::with_room(40).fifos();
    uart.send(LINE);
    for _ in 0..3 {
        assert_eq!(uart.read(reg::FR) & TX, FULL);
    }
    uart.give_room(40);
    assert_eq!(uart.output(), &LINE[..72], "32 waited, 8 found no place");
}

/// A driver that was told only waits; its interrupt was seen and cleared
/// before.
#[test]
fn what_was_shown_raises_the_interrupt() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(&LINE[..32]);
    assert_eq!(uart.read(reg::RIS), int::TX);
    uart.write(reg::ICR, int::TX);
    assert!(!uart.line);
    assert_eq!(uart.read(reg::FR) & TX, FULL);
    assert!(uart.line);
}

/// On a wire the FIFO drains after a clear that follows the look at once.
#[test]
fn a_clear_after_the_look_keeps_the_interrupt() {
    let mut uart = Bench::new().fifos();
    uart.send(&LINE[..32]);
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::TX);
    assert_eq!(uart.read(reg::FR) & TX, FULL);
    uart.write(reg::ICR, int::TX);
    uart.write(reg::IMSC, int::TX);
    assert!(uart.line);
    assert_eq!(uart.read(reg::RIS), int::TX);
    uart.write(reg::ICR, int::TX);
    assert!(!uart.line, "once");
}

/// Linux looks before each character until it sees TXFF; then its handler
/// writes 16 for each look at the status.
#[test]
fn linux_writes_lines_by_interrupt() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::LCR_H, lcr_h::FEN);
    let mut looks = [0; 3];
    for looked in &mut looks {
        let mut left = LINE.len();
        while left > 0 {
            *looked += 1;
            if uart.any(reg::FR, fr::TXFF) {
                break;
            }
            uart.send(b"-");
            left -= 1;
        }
        uart.write(reg::IMSC, int::TX);
        while left > 0 {
            assert!(uart.line, "left waiting");
            assert!(uart.any(reg::RIS, int::TX));
            let some = left.min(16);
            uart.send(&LINE[..some]);
            left -= some;
        }
        uart.write(reg::IMSC, 0);
    }
    assert_eq!(looks, [33, 1, 1]);
    assert_eq!(uart.output().len(), 240);
}
