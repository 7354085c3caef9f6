// SPDX-License-Identifier: MIT
//! D8, D9: overrun, break and the receive status (TRM 2.4.3, 2.8.5, 3.3.1,
//! 3.3.2).

use crate::registers::{DR_BE, DR_OE, cr, fr, int, lcr_h, reg};
use crate::{Uart, Verdict, pattern};

cases! { "errors":
    a_break_is_one_flagged_zero "TRM 2.7.1; Linux SysRq; D9",
    a_break_overruns_a_full_fifo "TRM 2.4.3; D8",
    the_status_keeps_a_break_until_the_next_character "TRM 3.3.2; D8",
    reading_does_not_lower_error_interrupts "TRM 2.8.5; D8",
    the_status_follows_the_character_read_last "TRM 3.3.2; D8",
    any_write_clears_the_status "TRM 3.3.2; D8",
    a_clear_of_the_status_leaves_the_interrupt "TRM 2.8.5, 3.3.2; D8",
    an_overrun_keeps_the_fifo "TRM 2.4.3; D8",
    the_next_character_carries_the_overrun "TRM 2.4.3, 3.3.1; D8",
    the_status_keeps_an_overrun_until_cleared "TRM 3.3.2; D8",
    an_overrun_raises_its_interrupt "TRM 2.8.5; D8",
    an_overrun_without_fifos "TRM 2.4.3; D8",
    an_overrun_outlives_a_flush "TRM 2.4.3; D8",
    the_line_never_overruns "TRM 2.4.3; D8",
}

const RSR_BE: u32 = 1 << 2;
const RSR_OE: u32 = 1 << 3;

const LOOPED: u32 = cr::UARTEN | cr::TXE | cr::RXE | cr::LBE;

/// A loopback FIFO of 32 that is full and was overrun by one.
fn overrun(uart: &mut Uart<'_>) {
    uart.fifos();
    uart.write(reg::CR, LOOPED);
    uart.send(pattern(33));
}

/// A break that loops back from the transmitter.
fn looped_break(uart: &mut Uart<'_>) {
    uart.fifos();
    uart.write(reg::CR, LOOPED);
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8 | lcr_h::BRK);
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
}

/// SysRq needs it: one zero character with BE.
fn a_break_is_one_flagged_zero(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::BE);
    uart.feed(b"a");
    uart.feed_break()?;
    uart.feed(b"h");
    uart.line_is(true)?;
    uart.see(reg::DR, u32::from(b'a'))?;
    uart.see(reg::DR, DR_BE)?;
    uart.see(reg::DR, u32::from(b'h'))?;
    uart.has(reg::FR, fr::RXFE)
}

fn a_break_overruns_a_full_fifo(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(32));
    uart.feed_break()?;
    uart.see_bits(reg::RIS, int::OE | int::BE, int::OE)?;
    uart.feed(b"n");
    for &byte in pattern(32) {
        uart.see(reg::DR, byte.into())?;
    }
    uart.see(reg::DR, DR_OE | u32::from(b'n'))?;
    uart.has(reg::FR, fr::RXFE)
}

fn the_status_keeps_a_break_until_the_next_character(uart: &mut Uart<'_>) -> Verdict {
    uart.feed_break()?;
    uart.feed(b"a");
    uart.see(reg::RSR, 0)?;
    uart.read(reg::DR);
    uart.see(reg::RSR, RSR_BE)?;
    uart.feed(&[]);
    uart.read(reg::DR);
    uart.see(reg::RSR, 0)
}

/// TRM 2.8.5: error interrupts stay until cleared.
fn reading_does_not_lower_error_interrupts(uart: &mut Uart<'_>) -> Verdict {
    looped_break(uart);
    uart.has(reg::RIS, int::BE)?;
    uart.read(reg::DR);
    uart.has(reg::RIS, int::BE)?;
    uart.write(reg::ICR, int::BE);
    uart.lacks(reg::RIS, int::BE)
}

fn the_status_follows_the_character_read_last(uart: &mut Uart<'_>) -> Verdict {
    looped_break(uart);
    uart.send(b"a");
    uart.see(reg::RSR, 0)?;
    uart.see(reg::DR, DR_BE)?;
    uart.see(reg::RSR, RSR_BE)?;
    // Reading it clears nothing.
    uart.see(reg::RSR, RSR_BE)?;
    uart.see(reg::DR, u32::from(b'a'))?;
    uart.see(reg::RSR, 0)
}

fn any_write_clears_the_status(uart: &mut Uart<'_>) -> Verdict {
    for value in [0, 0xFF] {
        overrun(uart);
        uart.see(reg::RSR, RSR_OE)?;
        uart.write(reg::RSR, value);
        uart.see(reg::RSR, 0)?;
    }
    Ok(())
}

fn a_clear_of_the_status_leaves_the_interrupt(uart: &mut Uart<'_>) -> Verdict {
    overrun(uart);
    uart.write(reg::RSR, 0xFF);
    uart.has(reg::RIS, int::OE)?;
    uart.write(reg::ICR, int::OE);
    uart.lacks(reg::RIS, int::OE)
}

/// TRM 2.4.3: the FIFO's contents stay, the new character is lost.
fn an_overrun_keeps_the_fifo(uart: &mut Uart<'_>) -> Verdict {
    overrun(uart);
    uart.has(reg::FR, fr::RXFF)?;
    uart.receives(pattern(32))
}

/// At once in RSR and RIS; the next character stored carries OE, and only it.
fn the_next_character_carries_the_overrun(uart: &mut Uart<'_>) -> Verdict {
    overrun(uart);
    uart.see(reg::RSR, RSR_OE)?;
    uart.see(reg::DR, u32::from(pattern(1)[0]))?;
    uart.send(b"zy");
    for &byte in &pattern(32)[1..] {
        uart.see(reg::DR, byte.into())?;
    }
    uart.see(reg::DR, DR_OE | u32::from(b'z'))?;
    // y found the FIFO full again.
    uart.has(reg::FR, fr::RXFE)?;
    uart.send(b"xw");
    uart.see(reg::DR, DR_OE | u32::from(b'x'))?;
    uart.see(reg::DR, u32::from(b'w'))
}

fn the_status_keeps_an_overrun_until_cleared(uart: &mut Uart<'_>) -> Verdict {
    overrun(uart);
    uart.read(reg::DR);
    uart.read(reg::DR);
    uart.see(reg::RSR, RSR_OE)
}

fn an_overrun_raises_its_interrupt(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::CR, LOOPED);
    uart.write(reg::IMSC, int::OE);
    uart.send(pattern(32));
    uart.line_is(false)?;
    uart.send(b"x");
    uart.line_is(true)?;
    uart.see(reg::MIS, int::OE)?;
    uart.write(reg::ICR, int::OE);
    uart.line_is(false)
}

fn an_overrun_without_fifos(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, LOOPED);
    uart.send(b"ab");
    uart.has(reg::RIS, int::OE)?;
    uart.see(reg::DR, u32::from(b'a'))?;
    uart.has(reg::FR, fr::RXFE)
}

/// A flush drops characters; the overrun before it still marks the next.
fn an_overrun_outlives_a_flush(uart: &mut Uart<'_>) -> Verdict {
    overrun(uart);
    uart.write(reg::LCR_H, lcr_h::WLEN8);
    uart.send(b"n");
    uart.see(reg::DR, DR_OE | u32::from(b'n'))
}

/// Input without room waits on the line.
fn the_line_never_overruns(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.feed(pattern(300));
    uart.lacks(reg::RIS, int::OE)?;
    uart.receives(pattern(300))?;
    uart.see(reg::RSR, 0)
}
