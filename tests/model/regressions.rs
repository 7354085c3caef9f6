// SPDX-License-Identifier: MIT
//! Defects that other emulators of this UART had or have, each by a test that
//! fails on it. The commit or project is named in the test's comment; those
//! that a rule's own test covers are listed in docs/requirements.md.

use crate::bench::{Bench, cr, fr, int, lcr_h, pattern, reg};

/// QEMU f72dbf3d, bhyve: RXFF and FEN tested the wrong way round; Xvisor took
/// RXFF from CR.
#[test]
fn rxff_follows_fen_alone() {
    let mut uart = Bench::new();
    uart.write(reg::CR, 0);
    uart.feed(b"x");
    assert!(uart.any(reg::FR, fr::RXFF), "FEN=0: one is full");
    let mut uart = Bench::new().fifos();
    uart.write(reg::CR, 0xFF07);
    uart.feed(b"x");
    assert!(!uart.any(reg::FR, fr::RXFF), "FEN=1: one is not");
}

/// QEMU ce8f0905, Xvisor: writing ECR changed CR.
#[test]
fn clearing_errors_leaves_control() {
    let mut uart = Bench::new();
    uart.write(reg::CR, 0xFB01);
    uart.write(reg::RSR, 0xFF);
    assert_eq!(uart.read(reg::CR), 0xFB01);
}

/// QEMU 22709e90, 23dcbfc0: after a FEN toggle receive interrupts died and
/// flags were stale.
#[test]
fn receive_interrupts_survive_a_fen_toggle() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(&pattern(32));
    uart.write(reg::LCR_H, 0);
    assert_eq!(uart.read(reg::FR) & (fr::RXFE | fr::RXFF), fr::RXFE);
    uart.write(reg::LCR_H, lcr_h::FEN);
    assert!(!uart.line);
    uart.feed(&pattern(16));
    assert_eq!(uart.read(reg::MIS) & int::RX, int::RX);
    assert_eq!(uart.receive_all(), pattern(16));
}

/// QEMU 6ab3fc32: bytes were lost while the far side could take none.
#[test]
fn a_far_side_that_stalls_loses_nothing() {
    let mut uart = Bench::with_room(3).fifos();
    let bytes = pattern(300);
    let mut left = bytes.iter();
    while uart.output().len() < bytes.len() {
        while !uart.any(reg::FR, fr::TXFF)
            && let Some(&byte) = left.next()
        {
            uart.write(reg::DR, byte.into());
        }
        uart.give_room(2);
    }
    assert_eq!(uart.output(), bytes);
}

/// QEMU 3e0f118f: one character per callback.
#[test]
fn one_event_brings_a_whole_fifo() {
    let mut uart = Bench::new().fifos();
    uart.feed(&pattern(32));
    assert!(uart.any(reg::FR, fr::RXFF));
}

/// QEMU cd247eae: masks swapped between registers.
#[test]
fn each_interrupt_has_its_own_bit() {
    let mut uart = Bench::new();
    for bit in 0..11 {
        uart.write(reg::IMSC, 1 << bit);
        assert_eq!(uart.read(reg::IMSC), 1 << bit);
    }
    uart.feed(b"x");
    assert_eq!(uart.read(reg::RIS), 1 << 4);
    uart.send(b"x");
    assert_eq!(uart.read(reg::RIS), 1 << 4 | 1 << 5);
}

/// QEMU ffb09451: the bits of `LCR_H` reversed.
#[test]
fn fen_is_bit_4() {
    for bit in (0..8).filter(|&bit| bit != 4) {
        let mut uart = Bench::new();
        uart.write(reg::LCR_H, 1 << bit);
        uart.feed(b"xy");
        assert!(uart.any(reg::FR, fr::RXFF), "bit {bit} is not FEN");
    }
    let mut uart = Bench::new();
    uart.write(reg::LCR_H, 1 << 4);
    uart.feed(b"xy");
    assert!(!uart.any(reg::FR, fr::RXFF));
}

/// QEMU, open: data queued, RX cleared, more input: RIS stays 0 with RXFF=1.
#[test]
fn input_after_a_clear_interrupts_up_to_the_last_place() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX);
    uart.feed(&pattern(20));
    uart.write(reg::ICR, int::RX);
    uart.feed(&pattern(12));
    assert!(uart.any(reg::FR, fr::RXFF));
    assert!(uart.line);
    uart.write(reg::ICR, int::RX);
    uart.feed(b"more");
    assert!(uart.line);
}

/// QEMU, open: loopback into a full FIFO passed the depth; StratoVirt: a paste
/// of 16 overwrote, of 32 panicked; cloud-hypervisor: unbounded.
#[test]
fn the_fifo_never_exceeds_its_depth() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::CR, cr::LBE | cr::RXE);
    uart.send(&pattern(100));
    assert_eq!(uart.receive_all(), &pattern(32)[..]);
}

/// QEMU, open: an empty DR read returned what was read last.
#[test]
fn an_empty_read_is_not_stale() {
    let mut uart = Bench::new();
    uart.feed(b"x");
    uart.read(reg::DR);
    assert_eq!(uart.read(reg::DR), 0);
}

/// cloud-hypervisor: a FEN toggle zeroed the count but kept the bytes.
#[test]
fn flushed_bytes_do_not_return() {
    let mut uart = Bench::new().fifos();
    uart.feed(b"old");
    uart.write(reg::LCR_H, 0);
    uart.write(reg::LCR_H, lcr_h::FEN);
    uart.feed(b"new");
    assert_eq!(uart.receive_all(), b"new");
}

/// gem5: DMACR=0 panicked. Xen b8d5ea6d: any access to it aborted Linux.
#[test]
fn dmacr_zero_is_fine() {
    let mut uart = Bench::new();
    uart.write(reg::DMACR, 0);
    assert_eq!(uart.read(reg::DMACR), 0);
}

/// OpenVMM: FreeBSD hung until a short batch that drains below the level
/// raised TX.
#[test]
fn a_short_batch_raises_tx() {
    let mut uart = Bench::with_room(0).fifos();
    uart.send(b"abc");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::TX);
    uart.write(reg::IMSC, int::TX);
    assert!(!uart.line);
    uart.give_room(3);
    assert!(uart.line);
}

/// OpenVMM dropped the newest input past 256 characters.
#[test]
fn a_long_paste_arrives_whole() {
    let mut uart = Bench::new().fifos();
    let bytes = pattern(10_000);
    uart.feed(&bytes);
    assert_eq!(uart.receive_all(), bytes);
}

/// Alioth raised the line and never lowered it.
#[test]
fn the_line_falls() {
    let mut uart = Bench::new();
    uart.write(reg::IMSC, int::ALL);
    uart.feed(b"x");
    assert!(uart.line);
    uart.receive_all();
    assert!(!uart.line);
}

/// BedRock computed the transmit interrupt from the receive FIFO.
#[test]
fn input_does_not_raise_tx_nor_output_rx() {
    let mut uart = Bench::new();
    uart.feed(b"x");
    assert_eq!(uart.read(reg::RIS) & int::TX, 0);
    let mut uart = Bench::new();
    uart.send(b"x");
    assert_eq!(uart.read(reg::RIS) & int::RX, 0);
}

/// Xen 393a541f: earlycon crawled, as BUSY held until the far side had drained
/// the ring. Xen d3784f16: TXFE was never set.
#[test]
fn earlycon_never_waits_for_a_far_side_with_room() {
    let mut uart = Bench::with_room(64);
    for byte in pattern(64) {
        assert!(!uart.any(reg::FR, fr::TXFF));
        uart.write(reg::DR, byte.into());
        assert_eq!(uart.read(reg::FR) & (fr::BUSY | fr::TXFE), fr::TXFE);
    }
}

/// Xen bb2c1a1c: input below the trigger was reported by no interrupt.
/// Xen, open: clearing RT with input left stalls it.
#[test]
fn the_last_bytes_of_a_paste_are_reported() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(&pattern(33));
    while uart.line {
        uart.write(reg::ICR, int::RX | int::RT);
        uart.read(reg::DR);
    }
    assert!(uart.any(reg::FR, fr::RXFE));
}

/// Xen, open: a far side that takes a part raised nothing.
#[test]
fn a_partial_drain_raises_tx() {
    let mut uart = Bench::with_room(0).fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(&pattern(32));
    assert!(!uart.line);
    uart.give_room(15);
    assert!(!uart.line, "17 queued");
    uart.give_room(1);
    assert!(uart.line, "16 queued");
}
