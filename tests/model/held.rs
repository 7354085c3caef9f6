// SPDX-License-Identifier: MIT
//! D7: loopback with a full receiver. On a wire the transmitter holds the
//! characters for their transmission time; here no time passes
//! (`docs/adr/written-characters-are-in-flight.md`).

use std::collections::VecDeque;

use conformance::pattern;

use crate::bench::{Bench, cr, fr, int, lcr_h, reg};

const TX: u32 = fr::TXFF | fr::TXFE | fr::BUSY;
const LOOPED: u32 = cr::UARTEN | cr::TXE | cr::RXE | cr::LBE;

fn looped() -> Bench {
    let mut uart = Bench::new().fifos();
    uart.write(reg::CR, LOOPED);
    uart
}

/// A driver that reads UARTFR is shown TXFF once, and reads data; a second read in
/// a row instead lets the time pass.
#[test]
fn a_full_loopback_is_shown_at_one_read() {
    let mut uart = looped();
    for byte in pattern(32) {
        assert!(!uart.any(reg::FR, fr::TXFF));
        uart.send(&[*byte]);
    }
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFF | fr::BUSY);
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    assert_eq!(uart.read(reg::DR), u32::from(pattern(1)[0]));
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE, "there is a place");
    uart.send(b"x");
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFF | fr::BUSY, "full anew");
    assert_eq!(uart.read(reg::DR), u32::from(pattern(2)[1]));
    uart.send(b"y");
    uart.read(reg::DR);
    assert_eq!(uart.receive_all().len(), 31);
    assert_eq!(uart.uart.counters().overruns, 0);
}

/// Nothing is held if the receiver is disabled, or outside loopback.
#[test]
fn only_a_loop_is_held() {
    let mut uart = Bench::new().fifos();
    uart.feed(pattern(40));
    assert_eq!(uart.read(reg::FR) & (fr::RXFF | fr::TXFF), fr::RXFF);
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::LBE);
    uart.send(b"dropped, as RXE is 0");
    assert_eq!(uart.read(reg::FR) & (fr::RXFF | fr::TXFF), fr::RXFF);
}

/// A driver that waits for TXFF and never reads data overruns, but does not hang.
#[test]
fn an_unread_loopback_continues() {
    for fen in [lcr_h::FEN, 0] {
        let mut uart = looped();
        uart.write(reg::LCR_H, fen);
        for &byte in pattern(100) {
            for flag in [fr::TXFF, fr::BUSY] {
                let looks = (0..3).find(|_| !uart.any(reg::FR, flag));
                assert!(looks.is_some(), "hung");
            }
            uart.send(&[byte]);
        }
        let stored = if fen == 0 { 1 } else { 32 };
        assert!(uart.any(reg::RIS, int::OE));
        assert_eq!(uart.receive_all(), pattern(stored));
    }
}

/// Linux under `TIOCM_LOOP`: a write of any length returns completely. It fills the
/// port up to TXFF, then its handler reads all input and sends 16 characters.
#[test]
fn a_long_write_of_linux_comes_back() {
    let mut uart = looped();
    let mut to_send: VecDeque<u8> = pattern(1000).iter().copied().collect();
    let mut came = Vec::new();
    uart.write(reg::IMSC, int::RX | int::RT);
    while !uart.any(reg::FR, fr::TXFF) {
        let byte = to_send.pop_front().expect("the port is full before");
        uart.send(&[byte]);
    }
    uart.write(reg::IMSC, int::RX | int::RT | int::TX);
    while uart.line {
        let status = uart.read(reg::MIS);
        if status & (int::RX | int::RT) != 0 {
            came.extend(uart.receive_all());
        }
        if status & int::TX != 0 {
            let some = to_send.len().min(16);
            uart.send(&to_send.drain(..some).collect::<Vec<_>>());
        }
        if to_send.is_empty() {
            uart.write(reg::IMSC, int::RX | int::RT);
        }
    }
    assert_eq!(came, pattern(1000));
    assert_eq!(uart.output(), b"");
}
