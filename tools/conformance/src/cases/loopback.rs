// SPDX-License-Identifier: MIT
//! D7: loopback and the modem lines (TRM 2.7.2, 3.3.3, 3.3.8).

use crate::registers::{DR_BE, cr, fr, int, lcr_h, reg};
use crate::{Uart, Verdict, pattern};

cases! { "loopback":
    output_comes_back_and_reaches_nobody "TRM 3.3.8; D7, C20",
    the_line_waits_meanwhile "TRM 3.3.8; D7",
    only_here_rxe_gates_reception "Linux up to 4.0; D7",
    looped_output_promises_no_place_there_is_not "TRM 2.8.3; D7",
    receive_interrupts_work "TRM 2.8, 3.3.8; D7",
    outside_it_the_far_side_is_ready "Linux crtscts; D7, C21",
    rts_is_cts "TRM 3.3.8; D7",
    dtr_is_dsr "TRM 3.3.8; D7",
    out1_is_dcd "TRM 3.3.8; D7",
    out2_is_ri "TRM 3.3.8; D7",
    each_modem_change_raises_its_interrupt "TRM 2.8.1; D7",
    a_modem_interrupt_is_cleared "TRM 2.8.1, 3.3.13; D7",
    modem_inputs_return_afterwards "TRM 3.3.8; D7, R14",
    a_sent_break_comes_back_once "TRM 3.3.7, 3.3.8; D9",
    a_sent_break_reaches_nobody_outside_it "TRM 3.3.7; D9",
}

const MODEM: u32 = fr::CTS | fr::DSR | fr::DCD | fr::RI;
const READY: u32 = fr::CTS | fr::DSR | fr::DCD;
const LOOPED: u32 = cr::UARTEN | cr::TXE | cr::RXE | cr::LBE;

fn looped(uart: &mut Uart<'_>) {
    uart.fifos();
    uart.write(reg::CR, LOOPED);
}

fn output_comes_back_and_reaches_nobody(uart: &mut Uart<'_>) -> Verdict {
    looped(uart);
    uart.send(b"echo");
    uart.outputs(b"")?;
    uart.receives(b"echo")
}

fn the_line_waits_meanwhile(uart: &mut Uart<'_>) -> Verdict {
    looped(uart);
    uart.feed(b"later");
    uart.has(reg::FR, fr::RXFE)?;
    uart.send(b"now");
    uart.receives(b"now")?;
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
    uart.receives(b"later")
}

/// Linux up to 4.0 sends a NUL with RXE=0 and must not read it back.
fn only_here_rxe_gates_reception(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::LBE);
    uart.send(&[0]);
    // The interrupt that the driver needs.
    uart.has(reg::RIS, int::TX)?;
    uart.lacks(reg::FR, fr::BUSY)?;
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
    uart.has(reg::FR, fr::RXFE)?;
    uart.outputs(b"")
}

/// TRM 2.8.3 holds in loopback with bytes queued for a full line.
fn looped_output_promises_no_place_there_is_not(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.block()?;
    uart.send(pattern(32));
    uart.write(reg::CR, cr::LBE);
    uart.send(b"x");
    uart.lacks(reg::RIS, int::TX)
}

fn receive_interrupts_work(uart: &mut Uart<'_>) -> Verdict {
    looped(uart);
    uart.write(reg::ICR, int::ALL);
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.send(b"x");
    uart.see(reg::MIS, int::RT)?;
    uart.line_is(true)?;
    uart.send(pattern(15));
    uart.see(reg::MIS, int::RX | int::RT)
}

/// The far side is present and ready: guests with `crtscts` must not stall.
fn outside_it_the_far_side_is_ready(uart: &mut Uart<'_>) -> Verdict {
    for control in [0, cr::RTS, cr::DTR, cr::OUT1, cr::OUT2, 0xC000] {
        uart.write(reg::CR, control);
        uart.see_bits(reg::FR, MODEM, READY)?;
    }
    uart.see(reg::RIS, 0)
}

/// TRM 3.3.8, LBE: modem outputs are the inputs.
fn output_is_input(uart: &mut Uart<'_>, output: u32, input: u32) -> Verdict {
    uart.write(reg::CR, cr::LBE | output);
    uart.see_bits(reg::FR, MODEM, input)?;
    uart.write(reg::CR, cr::LBE);
    uart.see_bits(reg::FR, MODEM, 0)
}

fn rts_is_cts(uart: &mut Uart<'_>) -> Verdict {
    output_is_input(uart, cr::RTS, fr::CTS)
}

fn dtr_is_dsr(uart: &mut Uart<'_>) -> Verdict {
    output_is_input(uart, cr::DTR, fr::DSR)
}

fn out1_is_dcd(uart: &mut Uart<'_>) -> Verdict {
    output_is_input(uart, cr::OUT1, fr::DCD)
}

fn out2_is_ri(uart: &mut Uart<'_>) -> Verdict {
    output_is_input(uart, cr::OUT2, fr::RI)
}

fn each_modem_change_raises_its_interrupt(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, cr::LBE);
    uart.write(reg::ICR, int::ALL);
    uart.write(reg::IMSC, int::RI | int::CTS | int::DCD | int::DSR);
    for (output, interrupt) in [
        (cr::RTS, int::CTS),
        (cr::DTR, int::DSR),
        (cr::OUT1, int::DCD),
        (cr::OUT2, int::RI),
    ] {
        for control in [cr::LBE | output, cr::LBE] {
            uart.write(reg::CR, control);
            uart.see(reg::RIS, interrupt)?;
            uart.line_is(true)?;
            uart.write(reg::ICR, int::ALL);
            uart.line_is(false)?;
        }
    }
    Ok(())
}

fn a_modem_interrupt_is_cleared(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, cr::LBE);
    uart.write(reg::ICR, int::ALL);
    uart.write(reg::CR, cr::LBE | cr::OUT2);
    uart.see(reg::RIS, int::RI)?;
    uart.write(reg::ICR, int::ALL);
    uart.write(reg::CR, cr::LBE | cr::OUT2);
    // No change, no interrupt.
    uart.see(reg::RIS, 0)
}

/// In QEMU they stay set.
fn modem_inputs_return_afterwards(uart: &mut Uart<'_>) -> Verdict {
    uart.write(reg::CR, cr::LBE);
    uart.see_bits(reg::FR, MODEM, 0)?;
    uart.write(reg::ICR, int::ALL);
    uart.write(reg::CR, 0x300);
    uart.see_bits(reg::FR, MODEM, READY)?;
    uart.see(reg::RIS, int::CTS | int::DSR | int::DCD)
}

/// TRM 3.3.7, BRK: the sent break comes back as one flagged zero.
fn a_sent_break_comes_back_once(uart: &mut Uart<'_>) -> Verdict {
    looped(uart);
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8 | lcr_h::BRK);
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::BRK);
    uart.see(reg::DR, DR_BE)?;
    uart.has(reg::FR, fr::RXFE)?;
    uart.write(reg::LCR_H, lcr_h::FEN);
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::BRK);
    uart.see(reg::DR, DR_BE)
}

fn a_sent_break_reaches_nobody_outside_it(uart: &mut Uart<'_>) -> Verdict {
    uart.fifos();
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::BRK);
    uart.has(reg::FR, fr::RXFE)?;
    uart.outputs(b"")
}
