// SPDX-License-Identifier: MIT
//! Defects of other emulators of this UART, past or present, each by a case that fails
//! on it. The commit or project is named; those covered by a rule's own case are listed
//! in docs/design/requirements.md.

use crate::registers::{cr, fr, int, lcr_h, reg};
use crate::{Uart, Verdict, pattern};

cases! { "regressions":
    rxff_follows_fen_alone "QEMU f72dbf3d, bhyve, Xvisor; R1",
    clearing_errors_leaves_control "QEMU ce8f0905, Xvisor; R2",
    receive_interrupts_survive_a_fen_toggle "QEMU 22709e90, 23dcbfc0; R3",
    a_far_side_that_stalls_loses_nothing "QEMU 6ab3fc32, Xen; R4",
    one_event_brings_a_whole_fifo "QEMU 3e0f118f; R8",
    each_interrupt_has_its_own_bit "QEMU cd247eae; R7",
    fen_is_bit_4 "QEMU ffb09451; R10",
    input_after_a_clear_interrupts_up_to_the_last_place "QEMU, open; R12",
    loopback_never_exceeds_the_depth "QEMU, open; StratoVirt; R13",
    an_empty_read_is_not_stale "QEMU, open; R15",
    flushed_bytes_do_not_return "cloud-hypervisor; R18",
    dmacr_zero_is_fine "gem5; Xen b8d5ea6d; R21",
    a_short_batch_raises_tx "OpenVMM; FreeBSD; R22",
    a_long_paste_arrives_whole "OpenVMM; R23",
    the_line_falls "Alioth; R24",
    input_does_not_raise_tx "BedRock; R25",
    output_does_not_raise_rx "BedRock; R25",
    earlycon_never_waits_for_a_far_side_with_room "Xen 393a541f, d3784f16; R26",
    the_last_bytes_of_a_paste_are_reported "Xen bb2c1a1c and open; R27",
    a_partial_drain_raises_tx "Xen, open; R28",
    output_past_a_ring_is_not_dropped "Xen, open; R4",
}

/// RXFF and FEN tested with inverted sense; Xvisor took RXFF from CR.
fn rxff_follows_fen_alone(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, 0);
    uart.feed(b"x");
    // FEN=0: one is full.
    uart.has(reg::FR, fr::RXFF)?;
    uart.read(reg::DR);
    uart.fifos();
    uart.write(reg::CR, 0xFF07);
    uart.feed(b"x");
    uart.lacks(reg::FR, fr::RXFF)
}

/// Writing ECR changed CR.
fn clearing_errors_leaves_control(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, 0xFB01);
    uart.write(reg::RSR, 0xFF);
    uart.see(reg::CR, 0xFB01)
}

/// After a FEN toggle receive interrupts died and flags were stale.
fn receive_interrupts_survive_a_fen_toggle(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(16));
    uart.write(reg::LCR_H, 0);
    uart.see_bits(reg::FR, fr::RXFE | fr::RXFF, fr::RXFE)?;
    uart.write(reg::LCR_H, lcr_h::FEN);
    uart.line_is(false)?;
    uart.feed(pattern(16));
    uart.has(reg::MIS, int::RX)?;
    uart.receives(pattern(16))
}

/// Bytes were lost while the far side could not take any.
fn a_far_side_that_stalls_loses_nothing(uart: &mut Uart<'_>) -> Verdict {
    let bytes = pattern(200);
    uart.fifos();
    uart.block()?;
    let mut left = bytes.iter();
    for _ in 0..bytes.len() {
        while !uart.any(reg::FR, fr::TXFF)
            && let Some(&byte) = left.next()
        {
            uart.write(reg::DR, byte.into());
        }
        uart.take(3);
    }
    uart.check(
        "bytes that found room",
        left.as_slice().is_empty().into(),
        1,
    )?;
    uart.outputs(bytes)
}

/// One character per callback.
fn one_event_brings_a_whole_fifo(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(32));
    uart.has(reg::FR, fr::RXFF)
}

/// Masks swapped between registers.
fn each_interrupt_has_its_own_bit(uart: &mut Uart<'_>) -> Verdict {
    for bit in 0..11 {
        uart.write(reg::IMSC, 1 << bit);
        uart.see(reg::IMSC, 1 << bit)?;
    }
    uart.write(reg::IMSC, 0);
    uart.feed(b"x");
    uart.see(reg::RIS, 1 << 4)?;
    uart.send(b"x");
    uart.see(reg::RIS, 1 << 4 | 1 << 5)
}

/// The bits of `LCR_H` reversed.
fn fen_is_bit_4(uart: &mut Uart<'_>) -> Verdict {
    for bit in 0..8 {
        uart.write(reg::LCR_H, 1 << bit);
        uart.feed(b"x");
        uart.bit_is(reg::FR, fr::RXFF, bit != 4)?;
        uart.receives(b"x")?;
    }
    Ok(())
}

/// Data queued, RX cleared, more input: RIS stayed 0 with RXFF=1.
fn input_after_a_clear_interrupts_up_to_the_last_place(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX);
    uart.feed(pattern(20));
    uart.has(reg::MIS, int::RX)?;
    uart.write(reg::ICR, int::RX);
    uart.line_is(false)?;
    uart.feed(pattern(12));
    uart.has(reg::FR, fr::RXFF)?;
    uart.line_is(true)
}

/// Loopback into a full FIFO exceeded the depth; a paste of 16 overwrote, of 32
/// panicked.
fn loopback_never_exceeds_the_depth(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::CR, cr::LBE | cr::TXE | cr::RXE);
    uart.send(pattern(100));
    uart.receives(pattern(32))
}

/// A read of an empty DR returned the last character read.
fn an_empty_read_is_not_stale(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"x");
    uart.read(reg::DR);
    uart.see(reg::DR, 0)
}

/// A FEN toggle zeroed the count but kept the bytes.
fn flushed_bytes_do_not_return(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(b"old");
    uart.write(reg::LCR_H, 0);
    uart.write(reg::LCR_H, lcr_h::FEN);
    uart.feed(b"new");
    uart.receives(b"new")
}

/// DMACR=0 panicked; any access to it aborted Linux.
fn dmacr_zero_is_fine(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::DMACR, 0);
    uart.see(reg::DMACR, 0)
}

/// FreeBSD hung until a short batch that drains below the level raised TX.
fn a_short_batch_raises_tx(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.send(b"abc");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::TX);
    uart.write(reg::IMSC, int::TX);
    uart.line_is(false)?;
    uart.take(3);
    uart.line_is(true)
}

/// Input past 256 characters was dropped, newest first.
fn a_long_paste_arrives_whole(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    for _ in 0..4 {
        uart.feed(pattern(1000));
        uart.receives(pattern(1000))?;
    }
    Ok(())
}

/// The line rose and never fell.
fn the_line_falls(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::IMSC, int::ALL);
    uart.feed(b"x");
    uart.line_is(true)?;
    uart.receives(b"x")?;
    uart.line_is(false)
}

/// The transmit interrupt was computed from the receive FIFO.
fn input_does_not_raise_tx(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"x");
    uart.lacks(reg::RIS, int::TX)
}

fn output_does_not_raise_rx(uart: &mut Uart<'_>) -> Verdict {
    uart.send(b"x");
    uart.lacks(reg::RIS, int::RX)
}

/// earlycon crawled, as BUSY held until the far side had drained the ring;
/// TXFE was never set.
fn earlycon_never_waits_for_a_far_side_with_room(uart: &mut Uart<'_>) -> Verdict {
    for &byte in pattern(64) {
        uart.lacks(reg::FR, fr::TXFF)?;
        uart.write(reg::DR, byte.into());
        uart.see_bits(reg::FR, fr::BUSY | fr::TXFE, fr::TXFE)?;
    }
    uart.outputs(pattern(64))
}

/// Input below the trigger was reported by no interrupt; clearing RT with
/// input left stalls it.
fn the_last_bytes_of_a_paste_are_reported(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(33));
    for &byte in pattern(33) {
        uart.line_is(true)?;
        uart.write(reg::ICR, int::RX | int::RT);
        uart.see(reg::DR, byte.into())?;
        uart.feed(&[]);
    }
    uart.has(reg::FR, fr::RXFE)
}

/// A far side that takes a part raised nothing.
fn a_partial_drain_raises_tx(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.write(reg::IMSC, int::TX);
    uart.send(pattern(32));
    uart.line_is(false)?;
    uart.take(15);
    uart.line_is(false)?;
    uart.take(1);
    uart.line_is(true)
}

/// A driver that waits for TXFF to fall loses nothing, however long the far side sleeps.
fn output_past_a_ring_is_not_dropped(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    for &byte in pattern(100) {
        uart.wait("room", |uart| !uart.any(reg::FR, fr::TXFF))?;
        uart.write(reg::DR, byte.into());
    }
    uart.outputs(pattern(100))
}
