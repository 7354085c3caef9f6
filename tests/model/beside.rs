// SPDX-License-Identifier: MIT
//! Cases that the conformance suite cannot run: events without data, room that was
//! not announced, characters that are not from the line, offsets that no
//! instruction can have, and counters.

use vpl011::trap::Width;

use conformance::pattern;

use crate::bench::{Bench, cr, fr, int, lcr_h, reg};

const DR_BE: u32 = 1 << 10;
const DR_OE: u32 = 1 << 11;
const RSR_OE: u32 = 1 << 3;

fn character_in(uart: &mut Bench, byte: u8) {
    let outcome = uart.uart.receive(byte);
    uart.observe(outcome);
}

fn break_in(uart: &mut Bench) {
    let outcome = uart.uart.receive_break();
    uart.observe(outcome);
}

/// A polling driver need not wait for the backend's event.
#[test]
fn a_flag_read_finds_room() {
    let mut uart = Bench::with_room(0);
    uart.send(b"a");
    assert!(uart.any(reg::FR, fr::TXFF));
    uart.uart.backend_mut().room = 1;
    assert_eq!(
        uart.read(reg::FR) & (fr::TXFE | fr::TXFF | fr::BUSY),
        fr::TXFE
    );
    assert_eq!(uart.output(), b"a");
}

/// A byte written while the FIFO is full is sent if the line has room by now.
#[test]
fn a_write_finds_room() {
    let mut uart = Bench::with_room(0).fifos();
    let bytes = pattern(40);
    uart.send(&bytes[..32]);
    uart.uart.backend_mut().room = 8;
    uart.send(&bytes[32..]);
    uart.give_room(100);
    assert_eq!(uart.output(), bytes);
}

/// A driver that ignores TXFF with FEN=0 loses nothing while there is storage;
/// later bytes are dropped and counted.
#[test]
fn bytes_past_txff_use_the_storage_there_is() {
    let mut uart = Bench::with_room(0);
    let bytes = pattern(33);
    uart.send(bytes);
    assert_eq!(uart.uart.counters().dropped, 1);
    uart.give_room(100);
    assert_eq!(uart.output(), &bytes[..32]);
}

/// Each read makes room that the line fills: a driver that reads until RXFE gets
/// all input.
#[test]
fn reads_refill_it() {
    let mut uart = Bench::new().fifos();
    let bytes = pattern(1000);
    uart.feed(bytes);
    assert_eq!(uart.receive_all(), bytes);
}

/// Once per level of reads, not at each read.
#[test]
fn a_read_that_leaves_less_than_the_level_refills_it() {
    for (fen, reads) in [(lcr_h::FEN, 17), (0, 1)] {
        let mut uart = Bench::new();
        uart.write(reg::LCR_H, fen);
        uart.feed(pattern(100));
        let waiting = uart.uart.backend().input.len();
        for _ in 1..reads {
            uart.read(reg::DR);
            assert_eq!(uart.uart.backend().input.len(), waiting);
            assert!(uart.any(reg::RIS, int::RX));
        }
        uart.read(reg::DR);
        assert_eq!(uart.uart.backend().input.len(), waiting - reads);
    }
}

/// After a clear of a shown interrupt, the FIFO is filled from the line.
#[test]
fn a_clear_refills_it() {
    let mut uart = Bench::new().fifos();
    uart.feed(pattern(40));
    uart.read(reg::DR);
    assert!(uart.any(reg::RIS, int::RX));
    uart.write(reg::ICR, int::RX);
    assert!(uart.any(reg::FR, fr::RXFF));
    assert_eq!(uart.uart.backend().input.len(), 7);
    assert!(uart.any(reg::RIS, int::RX), "it is news");
}

#[test]
fn input_without_room_stays_on_the_line() {
    let mut uart = Bench::new().fifos();
    uart.feed(pattern(33));
    assert!(uart.any(reg::FR, fr::RXFF));
    assert_eq!(uart.uart.backend().input.len(), 1);
}

/// The character that enters because of a read counts too.
#[test]
fn cleared_rx_returns_with_a_refill() {
    let mut uart = Bench::new().fifos();
    uart.feed(pattern(40));
    assert!(uart.any(reg::RIS, int::RX));
    uart.write(reg::ICR, int::RX);
    assert!(!uart.any(reg::RIS, int::RX));
    uart.read(reg::DR);
    assert!(uart.any(reg::RIS, int::RX));
}

#[test]
fn an_event_that_brings_nothing_raises_nothing() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"abc");
    assert_eq!(uart.read(reg::MIS), int::RT);
    uart.write(reg::ICR, int::RT);
    uart.give_room(1);
    assert!(!uart.line);
    assert!(!uart.uart.backend_event().doorbell);
}

/// Both interrupts shown and cleared with a full FIFO and more on the line: new
/// input interrupts, another event does not.
#[test]
fn new_input_behind_a_full_fifo_interrupts_again() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(100));
    for _ in 0..3 {
        assert_eq!(uart.read(reg::MIS), int::RX | int::RT);
        uart.write(reg::ICR, int::ALL);
        assert!(!uart.line);
        uart.event();
        assert!(!uart.line);
        uart.feed(b"+");
        assert!(uart.line);
    }
    assert_eq!(uart.receive_all(), [pattern(100), b"+++"].concat());
}

/// Input that arrived while the guest read the status, and was not signalled yet,
/// was not shown.
#[test]
fn a_clear_takes_input_from_the_line_first() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(32));
    assert_eq!(uart.read(reg::MIS), int::RX | int::RT);
    uart.uart.backend_mut().input.extend(b"more");
    uart.write(reg::ICR, int::ALL);
    assert!(uart.line);
    assert_eq!(uart.receive_all(), [pattern(32), b"more"].concat());
}

/// A host's break is from the line too.
#[test]
fn no_break_arrives_in_loopback() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::LBE);
    break_in(&mut uart);
    character_in(&mut uart, b'x');
    assert!(uart.any(reg::FR, fr::RXFE));
}

/// A character from a console without a ring has no buffer to wait in.
#[test]
fn a_character_beside_the_line_overruns_a_full_fifo() {
    let mut uart = Bench::new();
    for byte in *b"ab" {
        character_in(&mut uart, byte);
    }
    assert!(uart.any(reg::RIS, int::OE));
    assert_eq!(uart.uart.counters().overruns, 1);
    assert_eq!(uart.read(reg::DR), u32::from(b'a'));
    assert!(uart.any(reg::FR, fr::RXFE));
}

/// OE in RSR is immediate (TRM 3.3.2): it stays when its character is read.
#[test]
fn an_overrun_stays_in_rsr_when_its_character_is_read() {
    let mut uart = Bench::new();
    for byte in *b"ab" {
        character_in(&mut uart, byte);
    }
    assert_eq!(uart.read(reg::DR), u32::from(b'a'));
    character_in(&mut uart, b'c');
    assert_eq!(uart.read(reg::DR), DR_OE | u32::from(b'c'));
    assert_eq!(uart.read(reg::RSR), RSR_OE);
    uart.write(reg::RSR, 0);
    assert_eq!(uart.read(reg::RSR), 0);
}

/// A read of the low byte of DR has no flags; RSR has them.
#[test]
fn a_flagged_character_at_every_width() {
    for (width, flagged) in [(Width::Byte, 0), (Width::Half, DR_BE), (Width::Word, DR_BE)] {
        let mut uart = Bench::new().fifos();
        break_in(&mut uart);
        assert_eq!(uart.read_as(reg::DR, width), flagged);
        assert_eq!(uart.read_as(reg::RSR, width), 1 << 2);
    }
}

/// Unknown offsets (test registers, DMACR's neighbours in old Xen) must not
/// abort, log or change anything.
#[test]
fn unknown_offsets_read_zero_and_ignore_writes() {
    let known = [
        0x000, 0x004, 0x018, 0x020, 0x024, 0x028, 0x02C, 0x030, 0x034, 0x038, 0x03C, 0x040, 0x044,
        0x048,
    ];
    for offset in 0..0x1000 {
        if known.contains(&offset) || (offset >= 0xFE0 && offset % 4 == 0) {
            continue;
        }
        let mut uart = Bench::new();
        for width in [Width::Byte, Width::Half, Width::Word] {
            uart.write_as(offset, width, 0xFFFF_FFFF);
            assert_eq!(uart.read_as(offset, width), 0, "offset {offset:#05x}");
        }
        assert_eq!(uart.output(), b"", "offset {offset:#05x}");
        assert_eq!(uart.read(reg::CR), 0x300, "offset {offset:#05x}");
        assert_eq!(uart.read(reg::IMSC), 0, "offset {offset:#05x}");
    }
}

/// An offset beyond the frame is a caller's error, and harmless.
#[test]
fn offsets_beyond_the_frame_are_unknown() {
    let mut uart = Bench::new();
    uart.write(0x1000, 0x41);
    assert_eq!(uart.read(0x1030), 0);
    assert_eq!(uart.output(), b"");
}

/// An unused line counts nothing; an `LCR_H` write is no transfer.
#[test]
fn counters_start_at_zero() {
    let mut uart = Bench::new();
    uart.write(reg::LCR_H, lcr_h::FEN);
    assert_eq!(uart.uart.counters(), vpl011::uart::Counters::default());
}
