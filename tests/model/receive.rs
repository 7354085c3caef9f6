// SPDX-License-Identifier: MIT
//! D2, D4, D5: the receive side (TRM 2.4.3, 2.8.2, 2.8.4, 3.3.11).

use crate::bench::{Bench, fr, int, lcr_h, pattern, reg};

/// Trigger levels of IFLS.RXIFLSEL (TRM 3.3.9), for FIFOs of 32.
const LEVELS: [(u32, usize); 5] = [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28)];

/// Unikraft never sets RXE.
#[test]
fn input_needs_no_enable_bits() {
    let mut uart = Bench::new();
    uart.write(reg::CR, 0);
    uart.feed(b"hello");
    assert_eq!(uart.receive_all(), b"hello");
}

/// Good characters have DR[31:8]=0: U-Boot takes any bit there for an error.
#[test]
fn good_characters_carry_no_flags() {
    let mut uart = Bench::new();
    uart.feed(&[0xFF, 0x00]);
    assert_eq!(uart.read(reg::DR), 0xFF);
    assert_eq!(uart.read(reg::DR), 0x00);
    assert_eq!(uart.read(reg::RSR), 0);
}

/// RTEMS reads DR before each byte it writes.
#[test]
fn an_empty_fifo_reads_zero() {
    let mut uart = Bench::new();
    uart.feed(b"x");
    uart.read(reg::DR);
    let before = uart.read(reg::RIS);
    assert_eq!(uart.read(reg::DR), 0);
    assert_eq!(uart.read(reg::DR), 0);
    assert_eq!(uart.read(reg::RIS), before);
    assert_eq!(uart.read(reg::RSR), 0);
    assert!(uart.any(reg::FR, fr::RXFE));
}

#[test]
fn the_fifo_holds_32() {
    let mut uart = Bench::new().fifos();
    for received in 1..=32 {
        uart.feed(b"x");
        assert!(!uart.any(reg::FR, fr::RXFE));
        assert_eq!(uart.any(reg::FR, fr::RXFF), received == 32);
    }
    assert_eq!(uart.uart.backend().input.len(), 0);
    uart.feed(b"y");
    assert_eq!(
        uart.uart.backend().input.len(),
        1,
        "the line keeps what has no place"
    );
}

/// Old OpenBSD receives on RXFF with FEN=0.
#[test]
fn without_fifos_it_holds_one() {
    let mut uart = Bench::new();
    uart.feed(b"abc");
    for byte in b"abc" {
        assert_eq!(uart.read(reg::FR) & (fr::RXFF | fr::RXFE), fr::RXFF);
        assert_eq!(uart.read(reg::DR), u32::from(*byte));
    }
    assert_eq!(uart.read(reg::FR) & (fr::RXFF | fr::RXFE), fr::RXFE);
}

/// Each read makes room that the line fills: a driver that reads until RXFE
/// gets all there is.
#[test]
fn reads_refill_it() {
    let mut uart = Bench::new().fifos();
    let bytes = pattern(1000);
    uart.feed(&bytes);
    assert_eq!(uart.receive_all(), bytes);
}

/// ArceOS sets IFLS=0 and waits for UARTRXINTR only.
#[test]
fn rx_is_raised_at_its_level() {
    for (select, level) in LEVELS {
        let mut uart = Bench::new().fifos();
        uart.write(reg::IFLS, select << 3);
        for received in 1..=32 {
            uart.feed(b"x");
            assert_eq!(
                uart.any(reg::RIS, int::RX),
                received >= level,
                "{received} received"
            );
        }
        for left in (0..32).rev() {
            uart.read(reg::DR);
            assert_eq!(uart.any(reg::RIS, int::RX), left >= level, "{left} left");
        }
    }
}

#[test]
fn reserved_levels_mean_the_highest() {
    for select in 5..8 {
        let mut uart = Bench::new().fifos();
        uart.write(reg::IFLS, select << 3);
        uart.feed(&pattern(27));
        assert!(!uart.any(reg::RIS, int::RX));
        uart.feed(b"x");
        assert!(uart.any(reg::RIS, int::RX));
    }
}

#[test]
fn without_fifos_one_byte_raises_rx() {
    let mut uart = Bench::new();
    uart.feed(b"x");
    assert!(uart.any(reg::RIS, int::RX));
    uart.read(reg::DR);
    assert!(!uart.any(reg::RIS, int::RX));
}

/// The comparison is "at or above", not "equal".
#[test]
fn one_burst_past_the_level_raises_rx() {
    let mut uart = Bench::new().fifos();
    uart.feed(&pattern(20));
    assert!(uart.any(reg::RIS, int::RX));
}

/// Linux's handler does not clear RX and RT, NetBSD clears nothing: reading
/// has to lower them.
#[test]
fn draining_lowers_rx_and_rt() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(&pattern(100));
    assert!(uart.line);
    assert_eq!(uart.receive_all(), pattern(100));
    assert_eq!(uart.read(reg::RIS) & (int::RX | int::RT), 0);
    assert!(!uart.line);
}

#[test]
fn cleared_rx_returns_with_the_next_character_at_the_level() {
    let mut uart = Bench::new().fifos();
    uart.feed(&pattern(16));
    uart.write(reg::ICR, int::RX);
    assert!(!uart.any(reg::RIS, int::RX));
    uart.feed(b"x");
    assert!(uart.any(reg::RIS, int::RX));
    uart.write(reg::ICR, int::RX);
    uart.read(reg::DR);
    assert!(!uart.any(reg::RIS, int::RX), "a read stores nothing");
}

/// The character that a read lets in counts too.
#[test]
fn cleared_rx_returns_with_a_refill() {
    let mut uart = Bench::new().fifos();
    uart.feed(&pattern(40));
    uart.write(reg::ICR, int::RX);
    uart.read(reg::DR);
    assert!(uart.any(reg::RIS, int::RX));
}

#[test]
fn a_level_now_reached_raises_rx() {
    let mut uart = Bench::new().fifos();
    uart.feed(&pattern(5));
    assert!(!uart.any(reg::RIS, int::RX));
    uart.write(reg::IFLS, 0);
    assert!(uart.any(reg::RIS, int::RX));
    uart.write(reg::IFLS, 4 << 3);
    assert!(!uart.any(reg::RIS, int::RX));
}

/// Data below the level with no further input still interrupts (TRM 2.8.4).
#[test]
fn rt_reports_a_single_byte() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(b"x");
    assert!(uart.line);
    assert_eq!(uart.read(reg::MIS), int::RT);
}

/// TRM 3.3.11, footnote a: it cannot be set unless its mask bit is.
#[test]
fn rt_needs_its_mask_bit() {
    let mut uart = Bench::new().fifos();
    uart.feed(b"x");
    assert_eq!(uart.read(reg::RIS), 0);
    uart.write(reg::IMSC, int::RT);
    assert_eq!(uart.read(reg::RIS), int::RT);
    uart.write(reg::IMSC, 0);
    assert_eq!(uart.read(reg::RIS), 0);
}

#[test]
fn rt_ends_with_the_data() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"ab");
    uart.read(reg::DR);
    assert!(uart.line);
    uart.read(reg::DR);
    assert!(!uart.line);
    assert_eq!(uart.read(reg::RIS), 0);
}

/// At the level and with more coming, UARTRXINTR does the reporting.
#[test]
fn rt_waits_while_more_is_coming() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(&pattern(33));
    assert_eq!(uart.read(reg::RIS), int::RX);
    uart.read(reg::DR);
    assert_eq!(
        uart.read(reg::RIS),
        int::RX | int::RT,
        "nothing more is waiting"
    );
}

#[test]
fn cleared_rt_stays_low_until_something_happens() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"abc");
    uart.write(reg::ICR, int::RT);
    assert!(!uart.line);
    for quiet in [reg::FR, reg::RIS, reg::MIS, reg::CR, reg::IMSC] {
        uart.read(quiet);
        assert!(!uart.line);
    }
    uart.give_room(1);
    assert!(!uart.line, "an event that brings nothing");
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
    uart.send(b"x");
    assert!(!uart.line, "writes that receive nothing");
}

/// RTEMS and seL4 clear first and read afterwards, not always everything.
#[test]
fn cleared_rt_returns_with_a_read_that_leaves_data() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"ab");
    uart.write(reg::ICR, int::RT);
    uart.read(reg::DR);
    assert!(uart.line);
}

#[test]
fn cleared_rt_returns_with_new_input() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"a");
    uart.write(reg::ICR, int::RT);
    uart.feed(b"b");
    assert!(uart.line);
}

#[test]
fn cleared_rt_returns_with_a_mask_write() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"a");
    uart.write(reg::ICR, int::RT);
    uart.write(reg::IMSC, int::RT);
    assert!(uart.line);
}

/// Both cleared with a full FIFO and more on the line: the line's next
/// signal, or a driver that opens the port, brings an interrupt back.
#[test]
fn a_full_fifo_is_never_forgotten() {
    let mask_write = |uart: &mut Bench| uart.write(reg::IMSC, int::RX | int::RT);
    for reminder in [Bench::event, mask_write] {
        let mut uart = Bench::new().fifos();
        uart.write(reg::IMSC, int::RX | int::RT);
        uart.feed(&pattern(100));
        uart.write(reg::ICR, int::ALL);
        assert!(!uart.line);
        reminder(&mut uart);
        assert!(uart.line);
        assert_eq!(uart.receive_all(), pattern(100));
    }
}

/// TRM 3.3.7: FEN turns the FIFOs into registers and back. What was received
/// goes, what is still on the line does not.
#[test]
fn a_fen_toggle_flushes_received_characters() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(&pattern(20));
    assert!(uart.line);
    uart.write(reg::LCR_H, lcr_h::WLEN8);
    assert!(uart.any(reg::FR, fr::RXFE));
    assert_eq!(uart.read(reg::RIS), 0);
    assert!(!uart.line);
    uart.feed(b"next");
    assert_eq!(uart.receive_all(), b"next");
}

#[test]
fn an_lcr_write_that_keeps_fen_keeps_everything() {
    let mut uart = Bench::new().fifos();
    uart.feed(b"kept");
    uart.write(reg::LCR_H, lcr_h::FEN);
    assert_eq!(uart.receive_all(), b"kept");
}
