// SPDX-License-Identifier: MIT
//! D7: loopback and the modem lines (TRM 2.7.2, 3.3.3, 3.3.8).

use crate::bench::{Bench, DR_BE, cr, fr, int, lcr_h, pattern, reg};

const MODEM: u32 = fr::CTS | fr::DSR | fr::DCD | fr::RI;

fn looped() -> Bench {
    let mut uart = Bench::new().fifos();
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::LBE);
    uart
}

#[test]
fn output_comes_back_and_reaches_nobody() {
    let mut uart = looped();
    uart.send(b"echo");
    assert_eq!(uart.output(), b"");
    assert_eq!(uart.receive_all(), b"echo");
}

#[test]
fn the_line_waits_meanwhile() {
    let mut uart = looped();
    uart.feed(b"later");
    assert!(uart.any(reg::FR, fr::RXFE));
    uart.send(b"now");
    assert_eq!(uart.receive_all(), b"now");
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
    assert_eq!(uart.receive_all(), b"later");
}

/// A host's break is on the line too.
#[test]
fn no_break_arrives_meanwhile() {
    let mut uart = looped();
    let outcome = uart.uart.receive_break();
    uart.observe(outcome);
    let outcome = uart.uart.receive(b'x');
    uart.observe(outcome);
    assert!(uart.any(reg::FR, fr::RXFE));
}

/// Linux up to 4.0 sends a NUL with RXE=0 and must not read it back.
#[test]
fn only_here_rxe_gates_reception() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::LBE);
    uart.send(&[0]);
    assert!(uart.any(reg::RIS, int::TX), "the interrupt it wants");
    assert!(!uart.any(reg::FR, fr::BUSY));
    uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
    assert!(uart.any(reg::FR, fr::RXFE));
    assert_eq!(uart.output(), b"");
}

/// TRM 2.8.3 holds in loopback with bytes queued for a full line.
#[test]
fn looped_output_promises_no_place_there_is_not() {
    let mut uart = Bench::with_room(0).fifos();
    uart.send(&pattern(32));
    uart.write(reg::CR, cr::LBE);
    uart.send(b"x");
    assert!(!uart.any(reg::RIS, int::TX));
}

#[test]
fn receive_interrupts_work() {
    let mut uart = looped();
    uart.write(reg::IMSC, int::RX | int::RT);
    uart.send(b"x");
    assert_eq!(uart.read(reg::MIS), int::RT);
    uart.send(&pattern(15));
    assert_eq!(uart.read(reg::MIS), int::RX | int::RT);
}

/// The far side is there and ready: guests with `crtscts` must not stall.
#[test]
fn outside_it_the_far_side_is_ready() {
    let mut uart = Bench::new();
    for control in [0, cr::RTS, cr::DTR, cr::OUT1, cr::OUT2, 0xC000] {
        uart.write(reg::CR, control);
        assert_eq!(uart.read(reg::FR) & MODEM, fr::CTS | fr::DSR | fr::DCD);
    }
    assert_eq!(uart.read(reg::RIS), 0);
}

/// TRM 3.3.8, LBE: RTS to CTS, DTR to DSR, Out1 to DCD, Out2 to RI.
#[test]
fn modem_outputs_are_the_inputs() {
    let mut uart = Bench::new();
    for (output, input) in [
        (cr::RTS, fr::CTS),
        (cr::DTR, fr::DSR),
        (cr::OUT1, fr::DCD),
        (cr::OUT2, fr::RI),
    ] {
        uart.write(reg::CR, cr::LBE | output);
        assert_eq!(uart.read(reg::FR) & MODEM, input);
    }
}

#[test]
fn each_modem_change_raises_its_interrupt() {
    let mut uart = Bench::new();
    uart.write(reg::IMSC, int::RI | int::CTS | int::DCD | int::DSR);
    uart.write(reg::CR, cr::LBE | cr::RTS);
    assert_eq!(
        uart.read(reg::RIS),
        int::DSR | int::DCD,
        "CTS stayed, RI too"
    );
    assert!(uart.line);
    uart.write(reg::ICR, int::ALL);
    assert!(!uart.line);
    uart.write(reg::CR, cr::LBE | cr::RTS | cr::OUT2);
    assert_eq!(uart.read(reg::RIS), int::RI);
    uart.write(reg::ICR, int::ALL);
    uart.write(reg::CR, cr::LBE | cr::RTS | cr::OUT2);
    assert_eq!(uart.read(reg::RIS), 0, "no change, no interrupt");
}

/// In QEMU they stick.
#[test]
fn modem_inputs_return_afterwards() {
    let mut uart = Bench::new();
    uart.write(reg::CR, cr::LBE);
    assert_eq!(uart.read(reg::FR) & MODEM, 0);
    uart.write(reg::ICR, int::ALL);
    uart.write(reg::CR, 0x300);
    assert_eq!(uart.read(reg::FR) & MODEM, fr::CTS | fr::DSR | fr::DCD);
    assert_eq!(uart.read(reg::RIS), int::CTS | int::DSR | int::DCD);
}

/// TRM 3.3.7, BRK: the sent break comes back as one flagged zero.
#[test]
fn a_sent_break_comes_back_once() {
    let mut uart = looped();
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8 | lcr_h::BRK);
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::BRK);
    assert_eq!(uart.read(reg::DR), DR_BE);
    assert!(uart.any(reg::FR, fr::RXFE));
    uart.write(reg::LCR_H, lcr_h::FEN);
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::BRK);
    assert_eq!(uart.read(reg::DR), DR_BE);
}

#[test]
fn a_sent_break_reaches_nobody_outside_it() {
    let mut uart = Bench::new().fifos();
    uart.write(reg::LCR_H, lcr_h::FEN | lcr_h::BRK);
    assert!(uart.any(reg::FR, fr::RXFE));
    assert_eq!(uart.output(), b"");
}
