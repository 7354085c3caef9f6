// SPDX-License-Identifier: MIT
//! D6: the line is a level, (RIS & IMSC) != 0 at every moment (TRM 2.8).

use crate::registers::{cr, int, lcr_h, reg};
use crate::{Uart, Verdict, pattern};

cases! { "interrupts":
    raw_status_ignores_the_mask "TRM 3.3.11, 3.3.12; D6, R19",
    clearing_one_leaves_the_others "TRM 3.3.13; D6",
    input_raises_the_line_and_the_last_read_lowers_it "TRM 2.8; D6, C17",
    output_raises_the_line_and_a_clear_lowers_it "TRM 2.8; D6, C17",
    a_flush_lowers_the_line "TRM 2.8, 3.3.7; D6, C17",
    unmasking_raises_the_line_and_masking_lowers_it "TRM 3.3.10; D6, C13, C17",
    it_stays_high_while_any_cause_is_left "TRM 2.8; D6",
    it_falls_and_rises_time_and_again "TRM 2.8; D6, R24",
    unmasked_without_cause_it_is_low "TRM 2.8; D6",
    left_high_it_interrupts_again_at_once "TRM 2.8; D6, C17",
    fallen_before_it_was_taken_it_does_not_interrupt "TRM 2.8; D6, C17",
}

fn raw_status_ignores_the_mask(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"x");
    uart.send(b"y");
    for mask in [0, int::TX, int::RX, int::ALL & !int::RT] {
        uart.write(reg::IMSC, mask);
        uart.see(reg::RIS, int::RX | int::TX)?;
        let masked = (int::RX | int::TX) & mask;
        uart.see(reg::MIS, masked)?;
        uart.line_is(masked != 0)?;
    }
    Ok(())
}

fn clearing_one_leaves_the_others(uart: &mut Uart<'_>) -> Verdict {
    uart.feed(b"x");
    uart.send(b"y");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::RX);
    uart.see(reg::RIS, int::TX)?;
    uart.write(reg::ICR, 0);
    uart.see(reg::RIS, int::TX)?;
    uart.write(reg::ICR, int::TX);
    uart.see(reg::RIS, 0)
}

/// The line falls and rises with the access that causes it, no later.
fn input_raises_the_line_and_the_last_read_lowers_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT | int::TX);
    uart.feed(b"x");
    uart.line_is(true)?;
    uart.read(reg::DR);
    uart.line_is(false)
}

fn output_raises_the_line_and_a_clear_lowers_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(b"y");
    uart.line_is(true)?;
    uart.read(reg::MIS);
    uart.write(reg::ICR, int::TX);
    uart.line_is(false)
}

fn a_flush_lowers_the_line(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(pattern(3));
    uart.line_is(true)?;
    uart.write(reg::LCR_H, lcr_h::WLEN8);
    uart.line_is(false)
}

fn unmasking_raises_the_line_and_masking_lowers_it(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, cr::LBE | cr::TXE | cr::RXE);
    uart.send(b"x");
    uart.line_is(false)?;
    for _ in 0..2 {
        uart.write(reg::IMSC, int::RX);
        uart.line_is(true)?;
        uart.write(reg::IMSC, 0);
        uart.line_is(false)?;
    }
    Ok(())
}

fn it_stays_high_while_any_cause_is_left(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RT | int::TX);
    uart.feed(b"x");
    uart.send(b"y");
    uart.read(reg::RIS);
    uart.write(reg::ICR, int::TX);
    uart.line_is(true)?;
    uart.read(reg::DR);
    uart.line_is(false)
}

fn it_falls_and_rises_time_and_again(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    for _ in 0..20 {
        uart.feed(b"x");
        uart.line_is(true)?;
        uart.read(reg::DR);
        uart.line_is(false)?;
    }
    Ok(())
}

/// A handler that ends the interrupt and does nothing else gets the next one then, and
/// not at some later access (NuttX).
fn left_high_it_interrupts_again_at_once(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::TX);
    uart.send(b"y");
    let first = uart.interrupted();
    uart.check("the first interrupt", first.into(), 1)?;
    for _ in 0..3 {
        let again = uart.interrupted_at_once();
        uart.check("the next, at once", again.into(), 1)?;
    }
    Ok(())
}

fn fallen_before_it_was_taken_it_does_not_interrupt(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.feed(b"x");
    uart.read(reg::DR);
    let taken = uart.interrupted();
    uart.check("an interrupt of a line that is low", taken.into(), 0)?;
    uart.feed(b"x");
    let taken = uart.interrupted();
    uart.check("the next interrupt", taken.into(), 1)
}

fn unmasked_without_cause_it_is_low(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::IMSC, int::ALL);
    uart.see(reg::MIS, 0)?;
    uart.line_is(false)
}
