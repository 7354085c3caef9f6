// SPDX-License-Identifier: MIT
//! FreeBSD, NetBSD, OpenBSD before and after its rewrite.

use vpl011::trap::Width;

use super::{Driver, Queues, check};
use crate::bench::{Bench, cr, fr, int, lcr_h, pattern, reg};

const ENABLED: u32 = cr::UARTEN | cr::TXE | cr::RXE;

/// 24 bytes after TXRIS without a look at TXFF, then unmasks TXIM; only
/// MIS.TX tells it that they are gone.
#[derive(Default)]
struct FreeBsd(Queues);

impl FreeBsd {
    fn transmit(&mut self, uart: &mut Bench) {
        if self.0.to_send.is_empty() {
            return;
        }
        for byte in self.0.to_send.drain(..self.0.to_send.len().min(24)) {
            uart.write(reg::DR, byte.into());
        }
        self.0.mask |= int::TX;
        uart.write(reg::IMSC, self.0.mask);
    }
}

impl Driver for FreeBsd {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::CR, 0);
        uart.write(reg::IBRD, 13);
        uart.write(reg::FBRD, 1);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::IFLS, 0);
        uart.write(reg::CR, ENABLED);
        self.0.mask = int::RX | int::RT;
        uart.write(reg::IMSC, self.0.mask);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        self.0.to_send.extend(bytes);
        self.transmit(uart);
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        let status = uart.read(reg::MIS);
        if status & (int::RX | int::RT) != 0 {
            uart.write(reg::IMSC, self.0.mask & !(int::RX | int::RT));
            self.0.received.extend(uart.receive_all());
            uart.write(reg::IMSC, self.0.mask);
        }
        if status & int::TX != 0 {
            self.0.mask &= !int::TX;
            uart.write(reg::IMSC, self.0.mask);
            self.transmit(uart);
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn freebsd() {
    check(FreeBsd::default);
}

#[test]
fn freebsd_disables_without_draining() {
    let mut uart = Bench::with_room(0);
    let mut driver = FreeBsd::default();
    driver.open(&mut uart);
    driver.send(&mut uart, &pattern(24));
    uart.write(reg::CR, 0);
    uart.write(reg::LCR_H, 0);
    uart.give_room(100);
    assert_eq!(uart.output(), pattern(24));
}

/// Bytes only; IFLS as reset left it; 16 at a time; the handler loops until
/// MIS is 0 and never clears.
#[derive(Default)]
struct NetBsd(Queues);

impl NetBsd {
    fn write(uart: &mut Bench, offset: u16, value: u32) {
        uart.write_as(offset, Width::Byte, value);
    }

    fn read(uart: &mut Bench, offset: u16) -> u32 {
        uart.read_as(offset, Width::Byte)
    }

    fn transmit(&mut self, uart: &mut Bench) {
        for byte in self.0.to_send.drain(..self.0.to_send.len().min(16)) {
            Self::write(uart, reg::DR, byte.into());
        }
        let tx = if self.0.to_send.is_empty() {
            0
        } else {
            int::TX
        };
        self.0.mask = self.0.mask & !int::TX | tx;
        Self::write(uart, reg::IMSC, self.0.mask);
    }
}

impl Driver for NetBsd {
    fn open(&mut self, uart: &mut Bench) {
        Self::write(uart, reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        Self::write(uart, reg::CR, cr::UARTEN);
        self.0.mask = int::RX | int::RT;
        Self::write(uart, reg::IMSC, self.0.mask);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        self.0.to_send.extend(bytes);
        self.transmit(uart);
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        for _ in 0..1000 {
            let status = Self::read(uart, reg::MIS);
            if status == 0 {
                return;
            }
            if status & (int::RX | int::RT) != 0 {
                while Self::read(uart, reg::FR) & fr::RXFE == 0 {
                    self.0.received.push(Self::read(uart, reg::DR) as u8);
                }
            }
            if status & int::TX != 0 {
                self.transmit(uart);
            }
        }
        panic!("MIS never reads 0");
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn netbsd() {
    check(NetBsd::default);
}

/// No FIFOs; receives on RXFF; clears what RIS shows on every interrupt.
#[derive(Default)]
struct OldOpenBsd(Queues);

impl OldOpenBsd {
    fn transmit(&mut self, uart: &mut Bench) {
        while !uart.any(reg::FR, fr::TXFF)
            && let Some(byte) = self.0.to_send.pop_front()
        {
            uart.write(reg::DR, byte.into());
        }
        let tx = if self.0.to_send.is_empty() {
            0
        } else {
            int::TX
        };
        uart.write(reg::IMSC, int::RX | int::RT | tx);
    }
}

impl Driver for OldOpenBsd {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::LCR_H, lcr_h::WLEN8);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, int::RX | int::RT);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        self.0.to_send.extend(bytes);
        self.transmit(uart);
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        let status = uart.read(reg::RIS);
        uart.write(reg::ICR, status);
        while uart.any(reg::FR, fr::RXFF) {
            self.0.received.push(uart.read(reg::DR) as u8);
        }
        if status & int::TX != 0 {
            self.transmit(uart);
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn openbsd_old() {
    check(OldOpenBsd::default);
}

/// After its last byte there is no storm: RIS, ICR, and silence.
#[test]
fn openbsd_old_comes_to_rest() {
    let mut uart = Bench::new();
    let mut driver = OldOpenBsd::default();
    driver.open(&mut uart);
    driver.send(&mut uart, b"x");
    uart.write(reg::IMSC, int::RX | int::RT | int::TX);
    assert_eq!(super::serve(&mut driver, &mut uart), 1);
}

/// With FIFOs; MIS.TX drives output; the console spins on TXFE.
#[derive(Default)]
struct NewOpenBsd(Queues);

impl NewOpenBsd {
    fn transmit(&mut self, uart: &mut Bench) {
        for byte in self.0.to_send.drain(..self.0.to_send.len().min(16)) {
            uart.write(reg::DR, byte.into());
        }
        let tx = if self.0.to_send.is_empty() {
            0
        } else {
            int::TX
        };
        uart.write(reg::IMSC, int::RX | int::RT | tx);
    }
}

impl Driver for NewOpenBsd {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, int::RX | int::RT);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        self.0.to_send.extend(bytes);
        self.transmit(uart);
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        let status = uart.read(reg::MIS);
        uart.write(reg::ICR, status);
        if status & (int::RX | int::RT) != 0 {
            self.0.received.extend(uart.receive_all());
        }
        if status & int::TX != 0 {
            self.transmit(uart);
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn openbsd_new() {
    check(NewOpenBsd::default);
}

#[test]
fn openbsd_new_console() {
    let mut uart = Bench::with_room(0).fifos();
    for &byte in &pattern(50) {
        uart.wait("TXFF", |uart| !uart.any(reg::FR, fr::TXFF));
        uart.write(reg::DR, byte.into());
    }
    uart.wait("TXFE", |uart| uart.any(reg::FR, fr::TXFE));
    assert_eq!(uart.output(), pattern(50));
}
