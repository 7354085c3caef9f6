// SPDX-License-Identifier: MIT
//! D10: access widths, offsets that name nothing.

use vpl011::trap::Width;

use crate::bench::{Bench, DR_BE, cr, int, reg};

const WIDTHS: [Width; 3] = [Width::Byte, Width::Half, Width::Word];

#[test]
fn narrow_reads_are_cut() {
    let mut uart = Bench::new();
    uart.write(reg::CR, 0xFF87);
    assert_eq!(uart.read_as(reg::CR, Width::Byte), 0x87);
    assert_eq!(uart.read_as(reg::CR, Width::Half), 0xFF87);
    assert_eq!(uart.read_as(reg::CR, Width::Word), 0xFF87);
}

#[test]
fn narrow_writes_leave_other_bytes() {
    let mut uart = Bench::new();
    uart.write(reg::CR, cr::TXE | cr::RXE | cr::RTS);
    uart.write_as(reg::CR, Width::Byte, cr::UARTEN);
    assert_eq!(uart.read(reg::CR), cr::TXE | cr::RXE | cr::RTS | cr::UARTEN);

    uart.write(reg::IBRD, 0x1234);
    uart.write_as(reg::IBRD, Width::Byte, 0xFFFF_FF56);
    assert_eq!(uart.read(reg::IBRD), 0x1256);

    uart.write(reg::IMSC, int::OE | int::RX);
    uart.write_as(reg::IMSC, Width::Byte, int::TX);
    assert_eq!(uart.read(reg::IMSC), int::OE | int::TX);
}

/// NetBSD accesses bytes: it cannot clear what lies in the other one.
#[test]
fn narrow_clear_reaches_its_byte() {
    let mut uart = Bench::new();
    let outcome = uart.uart.receive_break();
    uart.observe(outcome);
    uart.write_as(reg::ICR, Width::Byte, 0xFFFF);
    assert_eq!(uart.read(reg::RIS), int::BE, "RX cleared, BE not");
    uart.write_as(reg::ICR, Width::Half, 0xFFFF);
    assert_eq!(uart.read(reg::RIS), 0);
}

#[test]
fn half_and_word_are_equal() {
    let mut uart = Bench::new();
    uart.write(reg::CR, 0xFF87);
    uart.write_as(reg::CR, Width::Half, 0xDEAD_0001);
    assert_eq!(uart.read(reg::CR), 1);
    uart.write_as(reg::CR, Width::Word, 0xDEAD_0081);
    assert_eq!(uart.read(reg::CR), 0x81);
}

/// SBSA: DR, RSR and FR at 8, 16 and 32 bits; ours are so everywhere.
#[test]
fn data_moves_at_every_width() {
    for width in WIDTHS {
        let mut uart = Bench::new().fifos();
        uart.feed(b"ab");
        let outcome = uart.uart.receive_break();
        uart.observe(outcome);
        uart.write_as(reg::DR, width, 0xFFFF_FF41);
        assert_eq!(uart.output(), b"A");
        assert_eq!(uart.read_as(reg::DR, width), u32::from(b'a'));
        assert_eq!(uart.read_as(reg::DR, width), u32::from(b'b'));
        let flagged = if width == Width::Byte { 0 } else { DR_BE };
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
        for width in WIDTHS {
            uart.write_as(offset, width, 0xFFFF_FFFF);
            assert_eq!(uart.read_as(offset, width), 0, "offset {offset:#05x}");
        }
        assert_eq!(uart.output(), b"", "offset {offset:#05x}");
        assert_eq!(uart.read(reg::CR), 0x300, "offset {offset:#05x}");
        assert_eq!(uart.read(reg::IMSC), 0, "offset {offset:#05x}");
    }
}

/// An offset beyond the frame is a caller's mistake, and still harmless.
#[test]
fn offsets_beyond_the_frame_name_nothing() {
    let mut uart = Bench::new();
    uart.write(0x1000, 0x41);
    assert_eq!(uart.read(0x1030), 0);
    assert_eq!(uart.output(), b"");
}
