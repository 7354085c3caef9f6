// SPDX-License-Identifier: MIT
//! D2, D3, D11: the transmit side (TRM 2.4.2, 2.8.3, 3.3.3).

use crate::bench::{Bench, cr, fr, int, lcr_h, pattern, reg};

/// Trigger levels of IFLS.TXIFLSEL (TRM 3.3.9), for FIFOs of 32.
const LEVELS: [(u32, usize); 5] = [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28)];

/// earlycon never writes CR; ACPI guests neither.
#[test]
fn output_needs_no_enable_bits() {
    let mut uart = Bench::new();
    uart.write(reg::CR, 0);
    uart.send(b"early");
    assert_eq!(uart.output(), b"early");
}

#[test]
fn a_line_with_room_never_looks_busy() {
    let mut uart = Bench::new().fifos();
    for byte in pattern(100) {
        uart.write(reg::DR, byte.into());
        assert_eq!(
            uart.read(reg::FR) & (fr::TXFE | fr::TXFF | fr::BUSY),
            fr::TXFE
        );
    }
    assert_eq!(uart.output(), pattern(100));
}

/// Linux's console write and TF-A's flush spin on BUSY; EDK2, OpenBSD, NuttX
/// and RTEMS on TXFE.
#[test]
fn busy_holds_only_while_bytes_are_queued() {
    let mut uart = Bench::with_room(1).fifos();
    uart.send(b"ab");
    assert_eq!(uart.read(reg::FR) & (fr::TXFE | fr::BUSY), fr::BUSY);
    uart.give_room(1);
    assert_eq!(uart.read(reg::FR) & (fr::TXFE | fr::BUSY), fr::TXFE);
    assert_eq!(uart.output(), b"ab");
}

/// D11: nobody at the far end, so the guest waits; nothing is dropped.
#[test]
fn a_line_without_a_far_side_fills_up() {
    let mut uart = Bench::with_room(0).fifos();
    let bytes = pattern(32);
    for &byte in &bytes {
        assert!(!uart.any(reg::FR, fr::TXFF));
        uart.send(&[byte]);
    }
    assert!(uart.any(reg::FR, fr::TXFF));
    uart.give_room(1000);
    assert_eq!(uart.output(), bytes);
    assert_eq!(uart.uart.counters().dropped, 0);
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

#[test]
fn without_fifos_one_byte_makes_it_full() {
    let mut uart = Bench::with_room(0);
    assert!(!uart.any(reg::FR, fr::TXFF));
    uart.send(b"a");
    assert!(uart.any(reg::FR, fr::TXFF));
}

/// FreeBSD writes CR=0, Linux clears FEN at close, both without draining.
#[test]
fn configuration_never_drops_output() {
    let bytes = pattern(20);
    for (offset, value) in [
        (reg::CR, 0),
        (reg::LCR_H, 0),
        (reg::LCR_H, lcr_h::WLEN8),
        (reg::CR, cr::LBE),
    ] {
        let mut uart = Bench::with_room(0).fifos();
        uart.send(&bytes);
        uart.write(offset, value);
        uart.give_room(100);
        assert_eq!(uart.output(), bytes, "after {offset:#05x} = {value:#x}");
    }
}

/// A driver that disregards TXFF with FEN=0 loses nothing while storage lasts;
/// past it, bytes are counted.
#[test]
fn bytes_past_txff_use_the_storage_there_is() {
    let mut uart = Bench::with_room(0);
    let bytes = pattern(33);
    uart.send(&bytes);
    assert_eq!(uart.uart.counters().dropped, 1);
    uart.give_room(100);
    assert_eq!(uart.output(), &bytes[..32]);
}

/// A byte written while the FIFO is full goes out if the line has room by now.
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

/// TRM 2.8.3: not set at reset, nor merely by enabling it on an empty FIFO.
#[test]
fn unmasking_alone_raises_nothing() {
    let mut uart = Bench::new();
    uart.write(reg::IMSC, int::TX);
    assert_eq!(uart.read(reg::RIS), 0);
    assert!(!uart.line);
}

/// FreeBSD, OpenBSD, Zephyr: even a single byte ends with TXRIS.
#[test]
fn one_byte_raises_it() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(b"x");
    assert!(uart.line);
    assert_eq!(uart.read(reg::MIS), int::TX);
}

#[test]
fn raised_before_unmasking_it_interrupts_then() {
    let mut uart = Bench::new();
    uart.send(b"x");
    assert!(!uart.line);
    uart.write(reg::IMSC, int::TX);
    assert!(uart.line);
    uart.write(reg::IMSC, 0);
    assert!(!uart.line);
}

/// TXRIS=1 promises depth - level free places: drivers then write that many
/// without a look at TXFF (FreeBSD 24, Linux and NetBSD 16).
#[test]
fn it_promises_free_places() {
    for (select, level) in LEVELS {
        let mut uart = Bench::with_room(0).fifos();
        uart.write(reg::IFLS, select);
        for queued in 1..=32 {
            uart.send(b"x");
            assert_eq!(
                uart.any(reg::RIS, int::TX),
                queued <= level,
                "{queued} queued"
            );
        }
        for taken in 1..=32 {
            uart.give_room(1);
            assert_eq!(
                uart.any(reg::RIS, int::TX),
                32 - taken <= level,
                "{taken} taken"
            );
        }
    }
}

#[test]
fn reserved_levels_mean_the_highest() {
    for select in 5..8 {
        let mut uart = Bench::with_room(0).fifos();
        uart.write(reg::IFLS, select);
        uart.send(&pattern(28));
        assert!(uart.any(reg::RIS, int::TX));
        uart.send(b"x");
        assert!(!uart.any(reg::RIS, int::TX));
    }
}

/// With FEN=0 the level is the empty holding register (TRM 2.8.3).
#[test]
fn without_fifos_empty_is_the_level() {
    let mut uart = Bench::with_room(0);
    uart.send(b"a");
    assert!(!uart.any(reg::RIS, int::TX));
    uart.give_room(1);
    assert!(uart.any(reg::RIS, int::TX));
}

/// Every drain to the level or below raises it anew, after a clear too.
#[test]
fn each_drain_raises_it() {
    let mut uart = Bench::with_room(0).fifos();
    uart.send(&pattern(10));
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::TX);
    assert!(!uart.any(reg::RIS, int::TX));
    for _ in 0..10 {
        uart.give_room(1);
        assert!(uart.any(reg::RIS, int::TX));
        uart.write(reg::ICR, int::TX);
        assert!(!uart.any(reg::RIS, int::TX));
    }
}

#[test]
fn a_level_now_exceeded_lowers_it() {
    let mut uart = Bench::with_room(0).fifos();
    uart.write(reg::IFLS, 4);
    uart.send(&pattern(20));
    assert!(uart.any(reg::RIS, int::TX));
    uart.write(reg::IFLS, 0);
    assert!(!uart.any(reg::RIS, int::TX));
    uart.write(reg::IFLS, 4);
    assert!(!uart.any(reg::RIS, int::TX), "nothing drained");
}

/// RTEMS writes a chunk and then clears: the drain that hardware still has
/// before it comes after the clear.
#[test]
fn a_clear_right_after_writing_keeps_it() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(b"chunk");
    uart.write(reg::ICR, int::TX);
    assert!(uart.line);
}

/// RTEMS reads FR before and DR with each write: neither shows TXRIS.
#[test]
fn flag_and_data_reads_do_not_show_it() {
    let mut uart = Bench::new().fifos();
    uart.read(reg::FR);
    uart.read(reg::DR);
    uart.send(b"x");
    uart.read(reg::FR);
    uart.read(reg::DR);
    uart.write(reg::ICR, int::TX);
    assert!(uart.any(reg::RIS, int::TX));
}

/// The drain that is still to come raises it, not the clear.
#[test]
fn a_clear_above_the_level_raises_nothing() {
    let mut uart = Bench::with_room(0).fifos();
    uart.send(&pattern(32));
    uart.write(reg::ICR, int::TX);
    assert!(!uart.any(reg::RIS, int::TX));
    uart.give_room(16);
    assert!(uart.any(reg::RIS, int::TX));
}

/// Old OpenBSD clears what it reads on every interrupt: no storm.
#[test]
fn a_second_clear_lowers_it() {
    let mut uart = Bench::new().fifos();
    uart.send(b"x");
    uart.write(reg::ICR, int::TX);
    uart.write(reg::ICR, int::TX);
    assert_eq!(uart.read(reg::RIS), 0);
}

#[test]
fn a_clear_after_a_status_read_lowers_it() {
    for status in [reg::RIS, reg::MIS] {
        let mut uart = Bench::new().fifos();
        uart.write(reg::IMSC, int::TX);
        uart.send(b"x");
        assert!(uart.any(status, int::TX));
        uart.write(reg::ICR, int::TX);
        assert!(!uart.line);
        assert_eq!(uart.read(reg::RIS), 0);
    }
}

/// A MIS read that masks TXRIS away shows nothing of it.
#[test]
fn a_masked_status_read_does_not_show_it() {
    let mut uart = Bench::new().fifos();
    uart.send(b"x");
    assert_eq!(uart.read(reg::MIS), 0);
    uart.write(reg::ICR, int::TX);
    assert!(uart.any(reg::RIS, int::TX));
}

#[test]
fn a_clear_of_others_keeps_it() {
    let mut uart = Bench::new().fifos();
    uart.send(b"x");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::ALL & !int::TX);
    assert_eq!(uart.read(reg::RIS), int::TX);
}
