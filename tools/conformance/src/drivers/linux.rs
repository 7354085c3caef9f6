// SPDX-License-Identifier: MIT
//! Linux: the full driver, its ancestor up to 4.0, the SBSA driver, earlycon.

use super::{Driver, Queues};
use crate::registers::{cr, fr, int, lcr_h, reg};
use crate::{Uart, Verdict, Width};

const RX: u32 = int::RX | int::RT;
const ERRORS: u32 = 0x780;

/// Which driver of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The PL011 driver.
    Full,
    /// The PL011 driver before 4.1.
    UpTo40,
    /// The SBSA UART driver.
    Sbsa,
}

/// Linux's interrupt-driven drivers.
#[derive(Debug)]
pub struct Linux {
    kind: Kind,
    queues: Queues,
}

impl Linux {
    /// A driver that is not open.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            queues: Queues::default(),
        }
    }

    fn read(&self, uart: &mut Uart<'_>, offset: u16) -> u32 {
        uart.read_as(offset, self.width())
    }

    fn write(&self, uart: &mut Uart<'_>, offset: u16, value: u32) {
        uart.write_as(offset, self.width(), value);
    }

    fn width(&self) -> Width {
        if self.kind == Kind::Sbsa {
            Width::Word
        } else {
            Width::Half
        }
    }

    fn receive(&mut self, uart: &mut Uart<'_>, most: usize) -> Verdict {
        for _ in 0..most {
            if self.read(uart, reg::FR) & fr::RXFE != 0 {
                break;
            }
            let data = self.read(uart, reg::DR);
            uart.check("errors of a character", data & 0xFF00, 0)?;
            self.queues.receive(data);
        }
        Ok(())
    }

    /// Half a FIFO without reading TXFF in the handler, up to TXFF outside; the
    /// interrupt stays unmasked while more is left.
    fn transmit(&mut self, uart: &mut Uart<'_>, in_handler: bool) {
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

    fn provoke_tx(&self, uart: &mut Uart<'_>) -> Verdict {
        self.write(uart, reg::CR, cr::UARTEN | cr::TXE | cr::LBE);
        self.write(uart, reg::FBRD, 0);
        self.write(uart, reg::IBRD, 1);
        self.write(uart, reg::LCR_H, 0);
        self.write(uart, reg::DR, 0);
        uart.wait("the end of BUSY in loopback", |uart| {
            !uart.any(reg::FR, fr::BUSY)
        })
    }

    fn set_line(&self, uart: &mut Uart<'_>) {
        let control = self.read(uart, reg::CR);
        self.write(uart, reg::CR, control & !cr::UARTEN);
        self.write(uart, reg::FBRD, 1);
        self.write(uart, reg::IBRD, 13);
        self.write(uart, reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
        self.write(uart, reg::CR, control);
    }

    /// Closes the port without waiting for its output.
    pub fn close(&mut self, uart: &mut Uart<'_>) {
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
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
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
                self.provoke_tx(uart)?;
                self.set_line(uart);
            }
            self.write(uart, reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        }
        self.write(uart, reg::ICR, RX);
        self.receive(uart, 64)?;
        self.queues.mask = RX;
        self.write(uart, reg::IMSC, RX);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        self.queues.enqueue(bytes);
        if self.kind == Kind::UpTo40 {
            // It relies on the provoked interrupt.
            self.queues.mask |= int::TX;
            self.write(uart, reg::IMSC, self.queues.mask);
        } else {
            self.transmit(uart, false);
        }
        Ok(())
    }

    /// Handles RIS under its own mask, repeatedly, up to 256 times.
    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        for _ in 0..256 {
            let status = self.read(uart, reg::RIS) & self.queues.mask;
            if status == 0 {
                break;
            }
            self.write(uart, reg::ICR, status & !(RX | int::TX));
            if status & RX != 0 {
                self.receive(uart, 256)?;
            }
            if status & int::TX != 0 {
                self.transmit(uart, true);
            }
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.queues
    }
}

/// Linux's first console: no register but FR, by 32 bits, and DR, by 8.
#[derive(Debug, Default)]
pub struct Earlycon(Queues);

impl Driver for Earlycon {
    fn open(&mut self, _uart: &mut Uart<'_>) -> Verdict {
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        for &byte in bytes {
            uart.wait("room", |uart| !uart.any(reg::FR, fr::TXFF))?;
            uart.write_as(reg::DR, Width::Byte, byte.into());
            uart.wait("the end of BUSY", |uart| !uart.any(reg::FR, fr::BUSY))?;
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}
