// SPDX-License-Identifier: MIT
//! Boot firmware: U-Boot, EDK2, TF-A. All polled.

use vpl011::trap::Width;

use super::{Driver, Queues, check};
use crate::bench::{Bench, cr, fr, lcr_h, pattern, reg};

/// Any bit in DR[31:8] is an error to it; the divisors may stay 0.
#[derive(Default)]
struct UBoot(Queues);

impl Driver for UBoot {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::RTS);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        for &byte in bytes {
            uart.wait("TXFF", |uart| !uart.any(reg::FR, fr::TXFF));
            uart.write(reg::DR, byte.into());
        }
    }

    fn poll(&mut self, uart: &mut Bench) {
        while !uart.any(reg::FR, fr::RXFE) {
            let data = uart.read(reg::DR);
            assert_eq!(data & 0xFFFF_FF00, 0);
            self.0.received.push(data as u8);
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn u_boot() {
    check(UBoot::default);
}

/// Programs the port unless it reads back as wanted; data by bytes.
#[derive(Default)]
struct Edk2 {
    queues: Queues,
    programmed: usize,
}

impl Edk2 {
    fn initialize(&mut self, uart: &mut Bench) {
        let wanted = [
            (reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN),
            (reg::IBRD, 13),
            (reg::FBRD, 1),
        ];
        if uart.any(reg::CR, cr::UARTEN)
            && wanted
                .iter()
                .all(|&(offset, value)| uart.read(offset) == value)
        {
            return;
        }
        self.programmed += 1;
        uart.wait("TXFE", |uart| uart.any(reg::FR, fr::TXFE));
        uart.write(reg::CR, 0);
        for (offset, value) in wanted {
            uart.write(offset, value);
        }
        uart.write(reg::RSR, 0);
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
    }
}

impl Driver for Edk2 {
    fn open(&mut self, uart: &mut Bench) {
        self.initialize(uart);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        for &byte in bytes {
            uart.wait("TXFF", |uart| !uart.any(reg::FR, fr::TXFF));
            uart.write_as(reg::DR, Width::Byte, byte.into());
        }
    }

    fn poll(&mut self, uart: &mut Bench) {
        while !uart.any(reg::FR, fr::RXFE) {
            self.queues
                .received
                .push(uart.read_as(reg::DR, Width::Byte) as u8);
        }
    }

    fn received(&self) -> &[u8] {
        &self.queues.received
    }
}

#[test]
fn edk2() {
    check(Edk2::default);
}

#[test]
fn edk2_programs_the_port_once() {
    let mut uart = Bench::with_room(3);
    let mut driver = Edk2::default();
    for _ in 0..5 {
        driver.initialize(&mut uart);
        driver.send(&mut uart, b"stage");
    }
    assert_eq!(driver.programmed, 1);
}

#[test]
fn edk2_reprograms_a_used_port() {
    let mut uart = Bench::with_room(0);
    uart.send(b"x");
    let mut driver = Edk2::default();
    driver.initialize(&mut uart);
    driver.send(&mut uart, b"y");
    uart.give_room(10);
    assert_eq!(uart.output(), b"xy");
}

/// Flushes by BUSY before it hands over.
#[test]
fn tf_a() {
    for room in [0, 1, 1000] {
        let mut uart = Bench::with_room(room);
        uart.write(reg::CR, 0);
        uart.write(reg::IBRD, 1);
        uart.write(reg::FBRD, 0);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::RSR, 0);
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        for &byte in &pattern(80) {
            uart.wait("TXFF", |uart| !uart.any(reg::FR, fr::TXFF));
            uart.write(reg::DR, byte.into());
        }
        uart.wait("BUSY", |uart| !uart.any(reg::FR, fr::BUSY));
        assert_eq!(uart.output(), pattern(80));
    }
}
