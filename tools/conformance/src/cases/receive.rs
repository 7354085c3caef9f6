// SPDX-License-Identifier: MIT
//! D2, D4, D5: the receive side (TRM 2.4.3, 2.8.2, 2.8.4, 3.3.11).

use crate::registers::{fr, int, lcr_h, reg, trigger};
use crate::{Uart, Verdict, pattern};

cases! { "receive":
    input_needs_no_enable_bits "Unikraft; D2",
    good_characters_carry_no_flags "TRM 3.3.1; U-Boot; C18",
    an_empty_fifo_reads_zero "RTEMS; C19",
    the_fifo_holds_32 "TRM 2.4.3; D1, D4",
    without_fifos_it_holds_one "TRM 2.4.3; OpenBSD; D4, C3",
    input_is_exact "TRM 2.4.3; D4",
    input_waits_for_room "TRM 2.4.3; D4, D8",
    level_one_eighth "TRM 2.8.2, 3.3.9; ArceOS; D4, C12",
    level_one_quarter "TRM 2.8.2, 3.3.9; D4, C12",
    level_half "TRM 2.8.2, 3.3.9; D4, C12",
    level_three_quarters "TRM 2.8.2, 3.3.9; D4, C12",
    level_seven_eighths "TRM 2.8.2, 3.3.9; D4, C12",
    reserved_levels_mean_the_highest "TRM 3.3.9; D4",
    the_level_of_reset_is_half "TRM 3.3.9; NetBSD; C12",
    without_fifos_one_byte_raises_rx "TRM 2.8.2; D4",
    one_burst_past_the_level_raises_rx "TRM 2.8.2; D4, R20",
    draining_lowers_rx_and_rt "Linux, NetBSD; D4, D5, C10",
    cleared_rx_returns_with_the_next_character_at_the_level "TRM 2.8.2; D4, C11",
    cleared_rx_returns_with_a_read_that_leaves_the_level "TRM 2.8.2; D4, C11",
    a_level_now_reached_raises_rx "TRM 2.8.2; D4",
    rt_reports_a_single_byte "TRM 2.8.4; D5, C9",
    rt_needs_its_mask_bit "TRM 3.3.11 note a; D5",
    rt_ends_with_the_data "TRM 2.8.4; D5, C10",
    rt_reports_a_full_fifo "TRM 2.8.4; D5",
    cleared_rt_stays_low_until_something_happens "TRM 2.8.4; D5",
    cleared_rt_returns_with_a_read_that_leaves_data "RTEMS, seL4; D5, C11",
    cleared_rt_returns_with_new_input "TRM 2.8.4; D5, C11",
    cleared_rt_returns_with_a_mask_write "D5",
    a_full_fifo_is_found_when_the_port_is_opened "Linux; D5, C11",
    a_clear_of_what_was_not_shown_keeps_it "HelenOS; D5, C11",
    input_behind_a_full_fifo_interrupts "D4, D5, C11",
    a_clear_keeps_a_character_that_just_came "HelenOS; D4, D5, C11",
    blind_clears_do_not_storm "seL4; D5",
    rt_alone_brings_everything "D5",
    a_fen_toggle_flushes_received_characters "TRM 3.3.7; D7",
    a_line_control_write_that_keeps_fen_keeps_everything "TRM 3.3.7; D7",
}

fn input_needs_no_enable_bits(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, 0);
    uart.feed(b"hello");
    uart.receives(b"hello")
}

/// U-Boot treats any bit of DR[31:8] as an error.
fn good_characters_carry_no_flags(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(&[0xFF, 0x00]);
    uart.see(reg::DR, 0xFF)?;
    uart.see(reg::DR, 0x00)?;
    uart.see(reg::RSR, 0)
}

/// RTEMS reads DR before each byte it writes.
fn an_empty_fifo_reads_zero(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"x");
    uart.see(reg::DR, u32::from(b'x'))?;
    let before = uart.read(reg::RIS);
    uart.see(reg::DR, 0)?;
    uart.see(reg::DR, 0)?;
    uart.see(reg::RIS, before)?;
    uart.see(reg::RSR, 0)?;
    uart.has(reg::FR, fr::RXFE)
}

fn the_fifo_holds_32(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    for received in 1..=32 {
        uart.feed(b"x");
        uart.lacks(reg::FR, fr::RXFE)?;
        uart.bit_is(reg::FR, fr::RXFF, received == 32)?;
    }
    uart.receives(&[b'x'; 32])
}

/// Old OpenBSD receives on RXFF with FEN=0.
fn without_fifos_it_holds_one(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"abc");
    for &byte in b"abc" {
        uart.see_bits(reg::FR, fr::RXFF | fr::RXFE, fr::RXFF)?;
        uart.see(reg::DR, byte.into())?;
        uart.feed(&[]);
    }
    uart.see_bits(reg::FR, fr::RXFF | fr::RXFE, fr::RXFE)
}

fn input_is_exact(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(1000));
    uart.receives(pattern(1000))
}

/// Input for a full FIFO waits on the line, and is not an overrun.
fn input_waits_for_room(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(pattern(500));
    uart.lacks(reg::RIS, int::OE)?;
    uart.receives(pattern(500))?;
    uart.see(reg::RSR, 0)
}

fn level_is(uart: &mut Uart<'_>, level: u32) -> Verdict {
    uart.fifos();
    for received in 1..=32 {
        uart.feed(b"x");
        uart.bit_is(reg::RIS, int::RX, received >= level)?;
    }
    for left in (0..32).rev() {
        uart.read(reg::DR);
        uart.bit_is(reg::RIS, int::RX, left >= level)?;
    }
    Ok(())
}

fn level(uart: &mut Uart<'_>, (select, level): (u32, u32)) -> Verdict {
    uart.write(reg::IFLS, select << 3);
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
    }
    Ok(())
}

fn the_level_of_reset_is_half(uart: &mut Uart<'_>) -> Verdict {
    level_is(uart, trigger::HALF.1)
}

fn without_fifos_one_byte_raises_rx(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"x");
    uart.has(reg::RIS, int::RX)?;
    uart.read(reg::DR);
    uart.lacks(reg::RIS, int::RX)
}

/// The comparison is "at or above", not "equal".
fn one_burst_past_the_level_raises_rx(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(20));
    uart.has(reg::RIS, int::RX)
}

/// Linux's handler does not clear RX and RT, NetBSD's clears nothing: reading has to
/// lower them.
fn draining_lowers_rx_and_rt(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(100));
    uart.line_is(true)?;
    uart.receives(pattern(100))?;
    uart.lacks(reg::RIS, int::RX | int::RT)?;
    uart.line_is(false)
}

fn cleared_rx_returns_with_the_next_character_at_the_level(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(16));
    uart.has(reg::RIS, int::RX)?;
    uart.write(reg::ICR, int::RX);
    uart.lacks(reg::RIS, int::RX)?;
    uart.feed(b"x");
    uart.has(reg::RIS, int::RX)
}

/// To a driver that clears first and then reads a part, the rest is reported.
fn cleared_rx_returns_with_a_read_that_leaves_the_level(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(17));
    uart.has(reg::RIS, int::RX)?;
    uart.write(reg::ICR, int::RX);
    uart.read(reg::DR);
    uart.has(reg::RIS, int::RX)?;
    uart.read(reg::DR);
    uart.lacks(reg::RIS, int::RX)
}

fn a_level_now_reached_raises_rx(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(5));
    uart.lacks(reg::RIS, int::RX)?;
    uart.write(reg::IFLS, 0);
    uart.has(reg::RIS, int::RX)?;
    uart.write(reg::IFLS, 4 << 3);
    uart.lacks(reg::RIS, int::RX)
}

/// Data below the level with no further input still interrupts.
fn rt_reports_a_single_byte(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(b"x");
    uart.line_is(true)?;
    uart.see(reg::MIS, int::RT)
}

/// TRM 3.3.11, footnote a: it cannot be set unless its mask bit is.
fn rt_needs_its_mask_bit(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(b"x");
    uart.see(reg::RIS, 0)?;
    uart.write(reg::IMSC, int::RT);
    uart.see(reg::RIS, int::RT)?;
    uart.write(reg::IMSC, 0);
    uart.see(reg::RIS, 0)
}

fn rt_ends_with_the_data(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"ab");
    uart.read(reg::DR);
    uart.line_is(true)?;
    uart.read(reg::DR);
    uart.line_is(false)?;
    uart.see(reg::RIS, 0)
}

/// A full FIFO can receive nothing: for it the line is silent, whatever waits there.
fn rt_reports_a_full_fifo(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(pattern(33));
    uart.line_is(true)?;
    uart.see(reg::MIS, int::RT)?;
    uart.receives(pattern(33))
}

fn cleared_rt_stays_low_until_something_happens(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"abc");
    uart.line_is(true)?;
    uart.see(reg::MIS, int::RT)?;
    uart.write(reg::ICR, int::RT);
    uart.line_is(false)?;
    for quiet in [reg::FR, reg::RIS, reg::MIS, reg::CR, reg::IMSC] {
        uart.read(quiet);
        uart.line_is(false)?;
    }
    // Writes that receive nothing.
    uart.fifos();
    uart.send(b"x");
    uart.line_is(false)
}

/// RTEMS and seL4 clear first and read afterwards, not always everything.
fn cleared_rt_returns_with_a_read_that_leaves_data(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"ab");
    uart.write(reg::ICR, int::RT);
    uart.read(reg::DR);
    uart.line_is(true)
}

fn cleared_rt_returns_with_new_input(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"a");
    uart.write(reg::ICR, int::RT);
    uart.feed(b"b");
    uart.line_is(true)
}

fn cleared_rt_returns_with_a_mask_write(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RT);
    uart.feed(b"a");
    uart.write(reg::ICR, int::RT);
    uart.write(reg::IMSC, int::RT);
    uart.line_is(true)
}

/// Both cleared with a full FIFO and more input on the line: a driver that opens the
/// port gets an interrupt.
fn a_full_fifo_is_found_when_the_port_is_opened(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(100));
    uart.has(reg::RIS, int::RX | int::RT)?;
    uart.write(reg::ICR, int::ALL);
    uart.line_is(false)?;
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.line_is(true)?;
    uart.receives(pattern(100))
}

/// A driver that has read no flags since the newest character arrived has not seen it.
fn a_clear_of_what_was_not_shown_keeps_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    for count in [1, 16, 32, 100] {
        uart.feed(pattern(count));
        uart.write(reg::ICR, int::ALL);
        uart.line_is(true)?;
        uart.receives(pattern(count))?;
        uart.line_is(false)?;
    }
    Ok(())
}

/// With and without FIFOs: a full FIFO was shown, read no further and cleared; then
/// more input arrives, without room.
fn input_behind_a_full_fifo_interrupts(uart: &mut Uart<'_>) -> Verdict {
    for (line_control, full, mask) in [
        (0, 1, int::RX),
        (0, 1, int::RT),
        (lcr_h::FEN, 32, int::RX),
        (lcr_h::FEN, 32, int::RT),
        (lcr_h::FEN, 40, int::RX | int::RT),
    ] {
        uart.write(reg::LCR_H, line_control);
        uart.write(reg::IMSC, mask);
        uart.feed(pattern(full));
        uart.has(reg::MIS, mask)?;
        uart.write(reg::ICR, int::ALL);
        uart.line_is(false)?;
        uart.feed(b"more");
        uart.line_is(true)?;
        for &byte in pattern(full).iter().chain(b"more") {
            uart.see(reg::DR, byte.into())?;
        }
        uart.line_is(false)?;
    }
    Ok(())
}

/// It arrived after the last read of the flags: the driver clears the interrupt of the
/// earlier characters.
fn a_clear_keeps_a_character_that_just_came(uart: &mut Uart<'_>) -> Verdict {
    for (line_control, mask) in [
        (0, int::RX),
        (0, int::RT),
        (lcr_h::FEN, int::RT),
        (lcr_h::FEN, int::RX | int::RT),
    ] {
        uart.write(reg::LCR_H, line_control);
        uart.write(reg::IMSC, mask);
        uart.feed(b"a");
        uart.lacks(reg::MIS, int::TX)?;
        uart.see(reg::DR, u32::from(b'a'))?;
        uart.has(reg::FR, fr::RXFE)?;
        uart.feed(b"b");
        uart.write(reg::ICR, mask);
        uart.line_is(true)?;
        uart.see(reg::DR, u32::from(b'b'))?;
        uart.line_is(false)?;
    }
    Ok(())
}

/// seL4 clears every interrupt, reads no flags, and leaves reading to other code: two
/// interrupts for a character, and no more.
fn blind_clears_do_not_storm(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    for _ in 0..40 {
        uart.feed(b"x");
        let mut interrupts = 0;
        while uart.line() && interrupts < 3 {
            uart.write(reg::ICR, int::ALL);
            interrupts += 1;
        }
        uart.check(
            "one or two interrupts",
            (1..=2).contains(&interrupts).into(),
            1,
        )?;
    }
    Ok(())
}

/// More than FIFO and handler hold, by UARTRTINTR alone; the handler reads one
/// character each time.
fn rt_alone_brings_everything(uart: &mut Uart<'_>) -> Verdict {
    for line_control in [0, lcr_h::FEN] {
        uart.write(reg::LCR_H, line_control);
        uart.write(reg::IMSC, int::RT);
        uart.feed(pattern(100));
        for &byte in pattern(100) {
            uart.line_is(true)?;
            uart.has(reg::MIS, int::RT)?;
            uart.see(reg::DR, byte.into())?;
            uart.write(reg::ICR, int::ALL);
        }
        uart.line_is(false)?;
    }
    Ok(())
}

/// TRM 3.3.7: FEN turns the FIFOs into registers and back. Received characters are
/// lost, those still on the line are not.
fn a_fen_toggle_flushes_received_characters(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(20));
    uart.line_is(true)?;
    uart.write(reg::LCR_H, lcr_h::WLEN8);
    uart.has(reg::FR, fr::RXFE)?;
    uart.see(reg::RIS, 0)?;
    uart.line_is(false)?;
    uart.feed(b"next");
    uart.receives(b"next")
}

fn a_line_control_write_that_keeps_fen_keeps_everything(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(b"kept");
    uart.write(reg::LCR_H, lcr_h::FEN);
    uart.receives(b"kept")
}
