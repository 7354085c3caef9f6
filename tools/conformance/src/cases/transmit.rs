// SPDX-License-Identifier: MIT
//! D2, D3, D11: the transmit side (TRM 2.4.2, 2.8.3, 3.3.3).

use crate::registers::{cr, fr, int, lcr_h, reg, trigger};
use crate::{Uart, Verdict, pattern};

cases! { "transmit":
    output_needs_no_enable_bits "Linux earlycon, ACPI guests; D2, C5",
    a_line_with_room_does_not_stay_busy "TRM 3.3.3; D3, C1, C2",
    output_is_exact "TRM 2.4.2; D3",
    busy_holds_only_while_bytes_are_queued "TRM 3.3.3; Linux, TF-A, EDK2; D3, C1, C2",
    a_line_without_a_far_side_fills_up "TRM 2.4.2; D11",
    the_fifo_holds_32 "TRM 2.4.2; D1, C8",
    without_fifos_one_byte_makes_it_full "TRM 2.4.2; D3",
    a_disabled_uart_drops_nothing "FreeBSD; D3, C4",
    a_fen_clear_drops_no_output "Linux; D3, C4, D7",
    a_line_control_write_drops_no_output "FreeBSD; D3, C4",
    loopback_drops_no_queued_output "Linux up to 4.0; D3, C4",
    unmasking_alone_raises_nothing "TRM 2.8.3; D3",
    one_byte_raises_it "TRM 2.8.3; FreeBSD, OpenBSD, Zephyr; D3, C15",
    raised_before_unmasking_it_interrupts_then "TRM 3.3.10; C13",
    level_one_eighth "TRM 3.3.9; D3, C14",
    level_one_quarter "TRM 3.3.9; D3, C14",
    level_half "TRM 3.3.9; Linux, NetBSD; D3, C14",
    level_three_quarters "TRM 3.3.9; D3, C14",
    level_seven_eighths "TRM 3.3.9; D3, C14",
    reserved_levels_mean_the_highest "TRM 3.3.9; D3",
    the_level_of_reset_is_half "TRM 3.3.9; NetBSD; C14",
    without_fifos_empty_is_the_level "TRM 2.8.3; D3",
    each_drain_raises_it "TRM 2.8.3; FreeBSD, OpenBSD; D3, C15",
    a_level_now_exceeded_lowers_it "TRM 2.8.3; D3",
    a_clear_right_after_writing_keeps_it "RTEMS; D3, C16",
    flag_and_data_reads_do_not_show_it "RTEMS; D3, C16",
    a_clear_above_the_level_raises_nothing "TRM 2.8.3; D3",
    a_second_clear_lowers_it "OpenBSD; D3, C16",
    a_clear_after_a_raw_status_read_lowers_it "TRM 3.3.13; OpenBSD; D3, C16",
    a_clear_after_a_masked_status_read_lowers_it "TRM 3.3.13; OpenBSD; D3, C16",
    a_masked_status_read_does_not_show_it "RTEMS; D3",
    a_clear_of_others_keeps_it "TRM 3.3.13; D3",
}

/// earlycon never writes CR, nor do ACPI guests.
fn output_needs_no_enable_bits(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, 0);
    uart.send(b"early");
    uart.outputs(b"early")
}

fn a_line_with_room_does_not_stay_busy(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    for &byte in pattern(100) {
        uart.write(reg::DR, byte.into());
        // The first FR read may show it in flight.
        uart.lacks(reg::FR, fr::TXFF)?;
        uart.see_bits(reg::FR, fr::TXFE | fr::TXFF | fr::BUSY, fr::TXFE)?;
    }
    uart.outputs(pattern(100))
}

fn output_is_exact(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.send(pattern(1000));
    uart.outputs(pattern(1000))?;
    uart.send(&[0x00, 0xFF, 0x0A, 0x0D, 0x1D]);
    uart.outputs(&[0x00, 0xFF, 0x0A, 0x0D, 0x1D])
}

/// Linux's console write and TF-A's flush spin on BUSY; EDK2, OpenBSD, NuttX
/// and RTEMS on TXFE.
fn busy_holds_only_while_bytes_are_queued(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.take(1);
    uart.send(b"ab");
    uart.see_bits(reg::FR, fr::TXFE | fr::BUSY, fr::BUSY)?;
    uart.take(1);
    uart.see_bits(reg::FR, fr::TXFE | fr::BUSY, fr::TXFE)?;
    uart.outputs(b"ab")
}

/// Without a far side the guest waits; nothing is dropped.
fn a_line_without_a_far_side_fills_up(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.send(pattern(32));
    uart.see_bits(reg::FR, fr::TXFF | fr::TXFE | fr::BUSY, fr::TXFF | fr::BUSY)?;
    uart.outputs(pattern(32))
}

fn the_fifo_holds_32(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    for (queued, &byte) in (1..).zip(pattern(32)) {
        uart.lacks(reg::FR, fr::TXFF)?;
        uart.send(&[byte]);
        uart.bit_is(reg::FR, fr::TXFF, queued == 32)?;
    }
    uart.outputs(pattern(32))
}

fn without_fifos_one_byte_makes_it_full(uart: &mut Uart<'_>) -> Verdict {
    uart.block()?;
    uart.send(b"a");
    uart.has(reg::FR, fr::TXFF)?;
    uart.outputs(b"a")
}

/// FreeBSD writes CR=0, Linux clears FEN at close, both without draining.
fn drops_nothing(uart: &mut Uart<'_>, offset: u16, value: u32) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.send(pattern(20));
    uart.write(offset, value);
    uart.outputs(pattern(20))
}

fn a_disabled_uart_drops_nothing(uart: &mut Uart<'_>) -> Verdict {
    drops_nothing(uart, reg::CR, 0)
}

fn a_fen_clear_drops_no_output(uart: &mut Uart<'_>) -> Verdict {
    drops_nothing(uart, reg::LCR_H, lcr_h::WLEN8)
}

fn a_line_control_write_drops_no_output(uart: &mut Uart<'_>) -> Verdict {
    drops_nothing(uart, reg::LCR_H, 0)
}

fn loopback_drops_no_queued_output(uart: &mut Uart<'_>) -> Verdict {
    drops_nothing(uart, reg::CR, cr::LBE)
}

/// TRM 2.8.3: not set at reset, nor merely by enabling it on an empty FIFO.
fn unmasking_alone_raises_nothing(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::IMSC, int::TX);
    uart.see(reg::RIS, 0)?;
    uart.line_is(false)
}

/// Even a single byte raises TXRIS.
fn one_byte_raises_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(b"x");
    uart.line_is(true)?;
    uart.see(reg::MIS, int::TX)
}

fn raised_before_unmasking_it_interrupts_then(uart: &mut Uart<'_>) -> Verdict {
    uart.send(b"x");
    uart.line_is(false)?;
    uart.write(reg::IMSC, int::TX);
    uart.line_is(true)?;
    uart.write(reg::IMSC, 0);
    uart.line_is(false)
}

/// TXRIS=1 promises depth - level free places: drivers then write that many
/// without a look at TXFF (FreeBSD 24, Linux and NetBSD 16).
fn level_is(uart: &mut Uart<'_>, level: u32) -> Verdict {
    uart.fifos();
    uart.block()?;
    for queued in 1..=32 {
        uart.send(b"x");
        uart.bit_is(reg::RIS, int::TX, queued <= level)?;
    }
    for taken in 1..=32 {
        uart.take(1);
        uart.bit_is(reg::RIS, int::TX, 32 - taken <= level)?;
    }
    Ok(())
}

fn level(uart: &mut Uart<'_>, (select, level): (u32, u32)) -> Verdict {
    uart.write(reg::IFLS, select);
    level_is(uart, level)
}

fn level_one_eighth(uart: &mut Uart<'_>) -> Verdict {
    level(uart, trigger::ONE_EIGHTH)
}

fn level_one_quarter(uart: &mut Uart<'_>) -> Verdict {
    level(uart, trigger::ONE_QUARTER)
}

fn level_half(uart: &mut Uart<'_>) -> Verdict {
    level(uart, trigger::HALF)
}

fn level_three_quarters(uart: &mut Uart<'_>) -> Verdict {
    level(uart, trigger::THREE_QUARTERS)
}

fn level_seven_eighths(uart: &mut Uart<'_>) -> Verdict {
    level(uart, trigger::SEVEN_EIGHTHS)
}

fn reserved_levels_mean_the_highest(uart: &mut Uart<'_>) -> Verdict {
    for select in 5..8 {
        level(uart, (select, trigger::SEVEN_EIGHTHS.1))?;
        uart.outputs(&[b'x'; 32])?;
    }
    Ok(())
}

fn the_level_of_reset_is_half(uart: &mut Uart<'_>) -> Verdict {
    level_is(uart, trigger::HALF.1)
}

/// With FEN=0 the level is the empty holding register (TRM 2.8.3).
fn without_fifos_empty_is_the_level(uart: &mut Uart<'_>) -> Verdict {
    uart.block()?;
    uart.send(b"a");
    uart.lacks(reg::RIS, int::TX)?;
    uart.take(1);
    uart.has(reg::RIS, int::TX)
}

/// Every drain to the level or below raises it again, also after a clear.
fn each_drain_raises_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.send(pattern(10));
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::TX);
    uart.lacks(reg::RIS, int::TX)?;
    for _ in 0..10 {
        uart.take(1);
        uart.has(reg::RIS, int::TX)?;
        uart.write(reg::ICR, int::TX);
        uart.lacks(reg::RIS, int::TX)?;
    }
    Ok(())
}

fn a_level_now_exceeded_lowers_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IFLS, 4);
    uart.block()?;
    uart.send(pattern(20));
    uart.has(reg::RIS, int::TX)?;
    uart.write(reg::IFLS, 0);
    uart.lacks(reg::RIS, int::TX)?;
    uart.write(reg::IFLS, 4);
    // Nothing drained.
    uart.lacks(reg::RIS, int::TX)
}

/// RTEMS writes a chunk and then clears: on hardware the drain is still to come, and
/// follows the clear.
fn a_clear_right_after_writing_keeps_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(b"chunk");
    uart.write(reg::ICR, int::TX);
    uart.line_is(true)
}

/// RTEMS reads FR before and DR with each write: neither shows TXRIS.
fn flag_and_data_reads_do_not_show_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.read(reg::FR);
    uart.read(reg::DR);
    uart.send(b"x");
    uart.read(reg::FR);
    uart.read(reg::DR);
    uart.write(reg::ICR, int::TX);
    uart.has(reg::RIS, int::TX)
}

/// The later drain raises it, not the clear.
fn a_clear_above_the_level_raises_nothing(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.send(pattern(32));
    uart.write(reg::ICR, int::TX);
    uart.lacks(reg::RIS, int::TX)?;
    uart.take(16);
    uart.has(reg::RIS, int::TX)
}

/// Old OpenBSD clears the RIS bits that it reads on every interrupt: no storm.
fn a_second_clear_lowers_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.send(b"x");
    uart.write(reg::ICR, int::TX);
    uart.write(reg::ICR, int::TX);
    uart.see(reg::RIS, 0)
}

fn cleared_when_seen_in(uart: &mut Uart<'_>, status: u16) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(b"x");
    uart.has(status, int::TX)?;
    uart.write(reg::ICR, int::TX);
    uart.line_is(false)?;
    uart.see(reg::RIS, 0)
}

fn a_clear_after_a_raw_status_read_lowers_it(uart: &mut Uart<'_>) -> Verdict {
    cleared_when_seen_in(uart, reg::RIS)
}

fn a_clear_after_a_masked_status_read_lowers_it(uart: &mut Uart<'_>) -> Verdict {
    cleared_when_seen_in(uart, reg::MIS)
}

/// A MIS read with TXRIS masked does not show it.
fn a_masked_status_read_does_not_show_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.send(b"x");
    uart.see(reg::MIS, 0)?;
    uart.write(reg::ICR, int::TX);
    uart.has(reg::RIS, int::TX)
}

fn a_clear_of_others_keeps_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.send(b"x");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::ALL & !int::TX);
    uart.see(reg::RIS, int::TX)
}
