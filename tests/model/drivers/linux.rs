// SPDX-License-Identifier: MIT
//! Linux: the full driver, its ancestor up to 4.0, the SBSA driver, earlycon.

use vpl011::trap::Width;

use super::{Driver, Queues, check, exchange};
use crate::bench::{Bench, cr, fr, int, lcr_h, pattern, reg};

const RX: u32 = int::RX | int::RT;
const ERRORS: u32 = 0x780;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Full,
    UpTo40,
    Sbsa,
}

struct Linux {
    kind: Kind,
    queues: Queues,
}

impl Linux {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            queues: Queues::default(),
        }
    }

    fn read(&self, uart: &mut Bench, offset: u16) -> u32 {
        uart.read_as(offset, self.width())
    }

    fn write(&self, uart: &mut Bench, offset: u16, value: u32) {
        uart.write_as(offset, self.width(), value);
    }

    fn width(&self) -> Width {
        if self.kind == Kind::Sbsa {
            Width::Word
        } else {
            Width::Half
        }
    }

    fn receive(&mut self, uart: &mut Bench, most: usize) {
        for _ in 0..most {
            if self.read(uart, reg::FR) & fr::RXFE != 0 {
                break;
            }
            let data = self.read(uart, reg::DR);
            assert_eq!(data & 0xFF00, 0, "no character is bad");
            self.queues.received.push(data as u8);
        }
    }

    /// Half a FIFO without a look at TXFF in the handler, up to TXFF outside;
    /// the interrupt stays unmasked while more is left.
    fn transmit(&mut self, uart: &mut Bench, in_handler: bool) {
        let most = if in_handler { 16 } else { usize::MAX };
        for _ in 0..most {
            if !in_handler && self.read(uart, reg::FR) & fr::TXFF != 0 {
                break;
            }
            let Some(byte) = self.queues.to_send.pop_front() else {
                break;
            };
            self.write(uart, reg::DR, byte.into());
        }
        let tx = if self.queues.to_send.is_empty() {
            0
        } else {
            int::TX
        };
        self.queues.mask = self.queues.mask & !int::TX | tx;
        self.write(uart, reg::IMSC, self.queues.mask);
    }

    fn provoke_tx(&self, uart: &mut Bench) {
        self.write(uart, reg::CR, cr::UARTEN | cr::TXE | cr::LBE);
        self.write(uart, reg::FBRD, 0);
        self.write(uart, reg::IBRD, 1);
        self.write(uart, reg::LCR_H, 0);
        self.write(uart, reg::DR, 0);
        uart.wait("BUSY in loopback", |uart| !uart.any(reg::FR, fr::BUSY));
    }

    fn set_line(&self, uart: &mut Bench) {
        let control = self.read(uart, reg::CR);
        self.write(uart, reg::CR, control & !cr::UARTEN);
        self.write(uart, reg::FBRD, 1);
        self.write(uart, reg::IBRD, 13);
        self.write(uart, reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
        self.write(uart, reg::CR, control);
    }

    fn close(&mut self, uart: &mut Bench) {
        self.queues.mask = 0;
        self.write(uart, reg::IMSC, 0);
        self.write(uart, reg::ICR, 0xFFFF);
        self.write(uart, reg::DMACR, 0);
        if self.kind != Kind::Sbsa {
            let control = self.read(uart, reg::CR) & (cr::RTS | cr::DTR);
            self.write(uart, reg::CR, control | cr::UARTEN | cr::TXE);
            let line = self.read(uart, reg::LCR_H);
            self.write(uart, reg::LCR_H, line & !(lcr_h::FEN | lcr_h::BRK));
        }
    }
}

impl Driver for Linux {
    fn open(&mut self, uart: &mut Bench) {
        if self.kind != Kind::Sbsa {
            self.write(uart, reg::IMSC, 0);
        }
        self.write(uart, reg::ICR, 0xFFFF);
        if self.kind == Kind::Full {
            self.set_line(uart);
        }
        self.write(uart, reg::ICR, ERRORS | RX);
        self.read(uart, reg::IMSC);
        self.write(uart, reg::IMSC, RX);
        self.write(uart, reg::IMSC, 0);
        if self.kind != Kind::Sbsa {
            self.write(uart, reg::IFLS, 0x12);
            if self.kind == Kind::UpTo40 {
                self.provoke_tx(uart);
                self.set_line(uart);
            }
            self.write(uart, reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        }
        self.write(uart, reg::ICR, RX);
        self.receive(uart, 64);
        self.queues.mask = RX;
        self.write(uart, reg::IMSC, RX);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        self.queues.to_send.extend(bytes);
        if self.kind == Kind::UpTo40 {
            // It takes the provoked interrupt for granted.
            self.queues.mask |= int::TX;
            self.write(uart, reg::IMSC, self.queues.mask);
        } else {
            self.transmit(uart, false);
        }
    }

    /// RIS under its own mask, again and again, up to 256 times.
    fn interrupt(&mut self, uart: &mut Bench) {
        for _ in 0..256 {
            let status = self.read(uart, reg::RIS) & self.queues.mask;
            if status == 0 {
                return;
            }
            self.write(uart, reg::ICR, status & !(RX | int::TX));
            if status & RX != 0 {
                self.receive(uart, 256);
            }
            if status & int::TX != 0 {
                self.transmit(uart, true);
            }
        }
    }

    fn received(&self) -> &[u8] {
        &self.queues.received
    }
}

#[test]
fn linux_full_driver() {
    check(|| Linux::new(Kind::Full));
}

#[test]
fn linux_up_to_4_0() {
    check(|| Linux::new(Kind::UpTo40));
}

#[test]
fn linux_sbsa() {
    check(|| Linux::new(Kind::Sbsa));
}

/// What the loopback probe sends stays between it and the device.
#[test]
fn linux_up_to_4_0_finds_no_nul() {
    let mut driver = Linux::new(Kind::UpTo40);
    exchange(&mut driver, 10, b"", b"login");
}

/// With a far side that keeps up, one handler call carries many bytes.
#[test]
fn linux_takes_few_interrupts() {
    let output = pattern(4096);
    let interrupts = exchange(&mut Linux::new(Kind::Full), 2048, &output, b"");
    assert!(interrupts <= 4096 / 16, "{interrupts} interrupts");
}

#[test]
fn linux_close_and_reopen() {
    let mut uart = Bench::with_room(5);
    let mut driver = Linux::new(Kind::Full);
    driver.open(&mut uart);
    driver.send(&mut uart, &pattern(20));
    driver.close(&mut uart);
    assert!(!uart.line);
    uart.give_room(100);
    assert_eq!(
        uart.output(),
        pattern(20),
        "closing drops nothing that was written"
    );
    uart.feed(b"typed meanwhile");
    assert!(!uart.line);
    let mut driver = Linux::new(Kind::Full);
    driver.open(&mut uart);
    super::serve(&mut driver, &mut uart);
    // FEN=0 left one place; enabling the FIFOs flushes that one.
    assert_eq!(driver.received(), b"yped meanwhile");
}

/// Console output: TXFF per character, then BUSY without bound.
#[test]
fn linux_console_write() {
    for room in [0, 1, 1000] {
        let mut uart = Bench::with_room(room).fifos();
        for &byte in &pattern(100) {
            uart.wait("TXFF", |uart| {
                uart.read_as(reg::FR, Width::Half) & fr::TXFF == 0
            });
            uart.write_as(reg::DR, Width::Half, byte.into());
        }
        uart.wait("BUSY", |uart| {
            uart.read_as(reg::FR, Width::Half) & fr::BUSY == 0
        });
        assert_eq!(uart.output(), pattern(100));
    }
}

/// No other register is ever touched; FR by 32 bits, DR by 8.
#[test]
fn linux_earlycon() {
    for room in [0, 1, 1000] {
        let mut uart = Bench::with_room(room);
        for &byte in &pattern(100) {
            uart.wait("TXFF", |uart| !uart.any(reg::FR, fr::TXFF));
            uart.write_as(reg::DR, Width::Byte, byte.into());
            uart.wait("BUSY", |uart| !uart.any(reg::FR, fr::BUSY));
        }
        assert_eq!(uart.output(), pattern(100));
    }
}
