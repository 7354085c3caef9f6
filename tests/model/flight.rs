// SPDX-License-Identifier: MIT
//! D3: on a wire, transmission takes time. Here written characters are in flight
//! until the guest reads the status again
//! (`docs/adr/written-characters-are-in-flight.md`).

use crate::bench::{Bench, cr, fr, int, lcr_h, reg};

const TX: u32 = fr::TXFF | fr::TXFE | fr::BUSY;
const FULL: u32 = fr::TXFF | fr::BUSY;
const LINE: &[u8; 80] = &[b'-'; 80];

/// Every read of UARTFR comes after one character, so that no time passes.
#[test]
fn a_fifo_of_characters_makes_it_full() {
    let mut uart = Bench::new().fifos();
    for _ in 0..3 {
        assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
        for count in 1..=32 {
            uart.send(b"-");
            assert_eq!(uart.peek(reg::FR), None, "only the device has this state");
            let expected = if count == 32 { FULL } else { fr::BUSY };
            assert_eq!(uart.read(reg::FR) & TX, expected, "{count}");
        }
        assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    }
    assert_eq!(uart.output().len(), 96);
}

/// Any number of them is sent at the second read in a row.
#[test]
fn a_second_read_shows_them_sent() {
    for count in [1, 2, 31, 32, 80] {
        let mut uart = Bench::new().fifos();
        uart.send(&LINE[..count]);
        let expected = if count < 32 { fr::BUSY } else { FULL };
        assert_eq!(uart.read(reg::FR) & TX, expected, "{count}");
        for _ in 0..3 {
            assert_eq!(uart.read(reg::FR) & TX, fr::TXFE, "{count}");
        }
    }
}

/// A driver that was shown an empty FIFO has room for a FIFO's depth.
#[test]
fn a_read_shows_only_written_characters_in_flight() {
    let mut uart = Bench::new().fifos();
    for round in 0..100 {
        uart.send(&LINE[..31]);
        let (first, second) = (uart.read(reg::FR) & TX, uart.read(reg::FR) & TX);
        assert_eq!((first, second), (fr::BUSY, fr::TXFE), "round {round}");
    }
}

/// A single holding register is not shown as full: its driver waits for each
/// character. Characters sent through it do not count for a FIFO.
#[test]
fn without_fifos_nothing_is_in_flight() {
    let mut uart = Bench::new();
    for _ in 0..3 {
        uart.send(LINE);
        assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    }
    uart.send(LINE);
    let mut uart = uart.fifos();
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    uart.send(LINE);
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::LBE);
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
}

/// Characters that wait for the line are shown as long as they wait.
#[test]
fn a_stalled_line_is_shown_at_each_read() {
    let mut uart = Bench::with_room(40).fifos();
    uart.send(LINE);
    for _ in 0..3 {
        assert_eq!(uart.read(reg::FR) & TX, FULL);
    }
    uart.give_room(40);
    assert_eq!(uart.output(), &LINE[..72], "32 waited, 8 found no place");
}

/// A status with TX means that the characters are sent.
#[test]
fn a_status_that_shows_tx_ends_it() {
    for status in [reg::RIS, reg::MIS] {
        let mut uart = Bench::new().fifos();
        uart.write(reg::IMSC, int::TX);
        uart.send(&LINE[..32]);
        assert_eq!(uart.read(status), int::TX);
        assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
        uart.write(reg::ICR, int::TX);
        assert!(!uart.line);
    }
}

/// A driver that was shown TXFF gets an interrupt, whatever it clears before it
/// waits; and at most two once it waits.
#[test]
fn a_read_that_shows_full_is_followed_by_an_interrupt() {
    for clears in 0..4 {
        let mut uart = Bench::new().fifos();
        uart.send(&LINE[..32]);
        assert_eq!(uart.read(reg::FR) & TX, FULL);
        for _ in 0..clears {
            uart.write(reg::ICR, int::ALL);
        }
        uart.write(reg::IMSC, int::TX);
        assert!(uart.line, "{clears} clears");
        let interrupts = (1..5).find(|_| {
            uart.write(reg::ICR, int::TX);
            !uart.line
        });
        assert!(interrupts <= Some(2), "{interrupts:?}");
    }
}

/// The characters were sent at each clear, and raised TX; a read does not show them
/// in flight again.
#[test]
fn what_was_cleared_is_gone() {
    let mut uart = Bench::new().fifos();
    for group in LINE[..33].chunks(8) {
        uart.send(group);
        uart.write(reg::ICR, int::TX);
    }
    assert_eq!(uart.read(reg::FR) & TX, fr::TXFE);
    uart.write(reg::ICR, int::TX);
    assert_eq!(uart.read(reg::RIS), 0);
}

/// Linux reads UARTFR before each character until it sees TXFF; then its handler
/// writes 16 characters per status read, and ends with a status read.
#[test]
fn linux_writes_lines_by_interrupt() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::LCR_H, lcr_h::FEN);
    for _ in 0..3 {
        let mut left = LINE.len();
        let looks = (1..100).find(|_| {
            let full = uart.any(reg::FR, fr::TXFF);
            if !full {
                uart.send(b"-");
                left -= 1;
            }
            full
        });
        assert_eq!(looks, Some(33));
        uart.write(reg::IMSC, int::TX);
        let mut interrupts = 0;
        while left > 0 {
            assert!(uart.line, "left waiting");
            assert!(uart.any(reg::RIS, int::TX));
            let some = left.min(16);
            uart.send(&LINE[..some]);
            left -= some;
            interrupts += 1;
        }
        assert_eq!(interrupts, 3);
        uart.write(reg::IMSC, 0);
        assert!(uart.any(reg::RIS, int::TX));
    }
    assert_eq!(uart.output().len(), 240);
}
