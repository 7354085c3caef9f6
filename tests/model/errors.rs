// SPDX-License-Identifier: MIT
//! D8, D9: overrun, break and the receive status (TRM 2.4.3, 2.8.5, 3.3.1,
//! 3.3.2).

use crate::bench::{Bench, DR_BE, DR_OE, cr, fr, int, lcr_h, pattern, reg};

const RSR_BE: u32 = 1 << 2;
const RSR_OE: u32 = 1 << 3;

fn break_in(uart: &mut Bench) {
    let outcome = uart.uart.receive_break();
    uart.observe(outcome);
}

/// A loopback FIFO of 32 that is full and was overrun by one.
fn overrun() -> Bench {
    let mut uart = Bench::new().fifos();
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::LBE);
    uart.send(&pattern(33));
    uart
}

/// SysRq needs it: one zero character with BE (TRM 2.7.1).
#[test]
fn a_break_is_one_flagged_zero() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::BE);
    uart.feed(b"a");
    break_in(&mut uart);
    uart.feed(b"h");
    assert!(uart.line);
    assert_eq!(uart.read(reg::DR), u32::from(b'a'));
    assert_eq!(uart.read(reg::DR), DR_BE);
    assert_eq!(uart.read(reg::DR), u32::from(b'h'));
    assert!(uart.any(reg::FR, fr::RXFE));
}

/// TRM 2.8.5: error interrupts stay until cleared.
#[test]
fn reading_does_not_lower_error_interrupts() {
    let mut uart = Bench::new().fifos();
    break_in(&mut uart);
    uart.read(reg::DR);
    assert_eq!(uart.read(reg::RIS), int::BE);
    uart.write(reg::ICR, int::BE);
    assert_eq!(uart.read(reg::RIS), 0);
}

#[test]
fn the_status_follows_the_character_read_last() {
    let mut uart = Bench::new().fifos();
    break_in(&mut uart);
    uart.feed(b"a");
    assert_eq!(uart.read(reg::RSR), 0, "not before it is read");
    uart.read(reg::DR);
    assert_eq!(uart.read(reg::RSR), RSR_BE);
    assert_eq!(uart.read(reg::RSR), RSR_BE, "reading it clears nothing");
    uart.read(reg::DR);
    assert_eq!(uart.read(reg::RSR), 0);
}

#[test]
fn any_write_clears_the_status() {
    for value in [0, 0xFF] {
        let mut uart = overrun();
        assert_eq!(uart.read(reg::RSR), RSR_OE);
        uart.write(reg::RSR, value);
        assert_eq!(uart.read(reg::RSR), 0);
        assert!(
            uart.any(reg::RIS, int::OE),
            "the interrupt has its own clear"
        );
    }
}

/// TRM 2.4.3: what is in the FIFO stays, the new character is lost, at once
/// in RSR and RIS; the next one stored carries OE.
#[test]
fn an_overrun_keeps_the_fifo() {
    let mut uart = overrun();
    assert_eq!(uart.read(reg::RSR), RSR_OE);
    assert!(uart.any(reg::RIS, int::OE));
    assert!(uart.any(reg::FR, fr::RXFF));
    assert_eq!(uart.read(reg::DR), u32::from(pattern(1)[0]));
    uart.send(b"zy");
    for &byte in &pattern(32)[1..] {
        assert_eq!(uart.read(reg::DR), u32::from(byte));
    }
    assert_eq!(uart.read(reg::DR), DR_OE | u32::from(b'z'));
    assert!(uart.any(reg::FR, fr::RXFE), "y found the FIFO full again");
    uart.send(b"xw");
    assert_eq!(uart.read(reg::DR), DR_OE | u32::from(b'x'));
    assert_eq!(
        uart.read(reg::DR),
        u32::from(b'w'),
        "one character carries it"
    );
    assert_eq!(uart.uart.counters().overruns, 2);
}

#[test]
fn the_status_keeps_oe_until_cleared() {
    let mut uart = overrun();
    uart.read(reg::DR);
    uart.read(reg::DR);
    assert_eq!(uart.read(reg::RSR), RSR_OE);
}

#[test]
fn a_break_overruns_a_full_fifo() {
    let mut uart = Bench::new().fifos();
    uart.feed(&pattern(32));
    break_in(&mut uart);
    assert_eq!(uart.read(reg::RIS) & (int::OE | int::BE), int::OE);
    uart.feed(b"n");
    for &byte in &pattern(32) {
        assert_eq!(uart.read(reg::DR), u32::from(byte));
    }
    assert_eq!(uart.read(reg::DR), DR_OE | u32::from(b'n'));
    assert!(uart.any(reg::FR, fr::RXFE));
}

/// A character from a console without a ring has nowhere to wait.
#[test]
fn a_character_beside_the_line_overruns_a_full_fifo() {
    let mut uart = Bench::new();
    for byte in *b"ab" {
        let outcome = uart.uart.receive(byte);
        uart.observe(outcome);
    }
    assert!(uart.any(reg::RIS, int::OE));
    assert_eq!(uart.read(reg::DR), u32::from(b'a'));
    assert!(uart.any(reg::FR, fr::RXFE));
}

/// Input that has no place waits on the line.
#[test]
fn the_line_never_overruns() {
    let mut uart = Bench::new();
    uart.feed(&pattern(500));
    assert_eq!(uart.read(reg::RIS) & int::OE, 0);
    assert_eq!(uart.receive_all(), pattern(500));
    assert_eq!(uart.read(reg::RSR), 0);
}

/// A flush forgets characters; the overrun before it still marks the next.
#[test]
fn an_overrun_outlives_a_flush() {
    let mut uart = overrun();
    uart.write(reg::LCR_H, lcr_h::WLEN8);
    uart.send(b"n");
    assert_eq!(uart.read(reg::DR), DR_OE | u32::from(b'n'));
}
