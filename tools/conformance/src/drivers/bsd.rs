// SPDX-License-Identifier: MIT
//! FreeBSD, NetBSD, OpenBSD before and after its rewrite.

use super::{Driver, Queues};
use crate::registers::{cr, fr, int, lcr_h, reg};
use crate::{Uart, Verdict, Width};

const ENABLED: u32 = cr::UARTEN | cr::TXE | cr::RXE;
const RX: u32 = int::RX | int::RT;

/// RX and RT, and TX while more is to be sent.
fn mask(queues: &Queues) -> u32 {
    if queues.to_send.is_empty() {
        RX
    } else {
        RX | int::TX
    }
}

/// Writes 24 bytes after TXRIS without reading TXFF, then unmasks TXIM; only MIS.TX
/// shows that they are gone.
#[derive(Debug, Default)]
pub struct FreeBsd(Queues);

impl FreeBsd {
    fn transmit(&mut self, uart: &mut Uart<'_>) {
        if self.0.to_send.is_empty() {
            return;
        }
        for _ in 0..24 {
            let Some(byte) = self.0.to_send.pop_front() else {
                break;
            };
            uart.write(reg::DR, byte.into());
        }
        self.0.mask |= int::TX;
        uart.write(reg::IMSC, self.0.mask);
    }
}

impl Driver for FreeBsd {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::CR, 0);
        uart.write(reg::IBRD, 13);
        uart.write(reg::FBRD, 1);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::IFLS, 0);
        uart.write(reg::CR, ENABLED);
        self.0.mask = RX;
        uart.write(reg::IMSC, self.0.mask);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        self.0.enqueue(bytes);
        self.transmit(uart);
        Ok(())
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        let status = uart.read(reg::MIS);
        if status & RX != 0 {
            uart.write(reg::IMSC, self.0.mask & !RX);
            self.0.receive_all(uart);
            uart.write(reg::IMSC, self.0.mask);
        }
        if status & int::TX != 0 {
            self.0.mask &= !int::TX;
            uart.write(reg::IMSC, self.0.mask);
            self.transmit(uart);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// Bytes only; IFLS as reset left it; 16 at a time; the handler loops until
/// MIS is 0 and never clears.
#[derive(Debug, Default)]
pub struct NetBsd(Queues);

impl NetBsd {
    fn write(uart: &mut Uart<'_>, offset: u16, value: u32) {
        uart.write_as(offset, Width::Byte, value);
    }

    fn read(uart: &mut Uart<'_>, offset: u16) -> u32 {
        uart.read_as(offset, Width::Byte)
    }

    fn transmit(&mut self, uart: &mut Uart<'_>) {
        for _ in 0..16 {
            let Some(byte) = self.0.to_send.pop_front() else {
                break;
            };
            Self::write(uart, reg::DR, byte.into());
        }
        Self::write(uart, reg::IMSC, mask(&self.0));
    }
}

impl Driver for NetBsd {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        Self::write(uart, reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        Self::write(uart, reg::CR, cr::UARTEN);
        Self::write(uart, reg::IMSC, RX);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        self.0.enqueue(bytes);
        self.transmit(uart);
        Ok(())
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        for _ in 0..1000 {
            let status = Self::read(uart, reg::MIS);
            if status == 0 {
                return Ok(());
            }
            if status & RX != 0 {
                for _ in 0..super::MOST_AT_ONCE {
                    if Self::read(uart, reg::FR) & fr::RXFE != 0 {
                        break;
                    }
                    let data = Self::read(uart, reg::DR);
                    self.0.receive(data);
                }
            }
            if status & int::TX != 0 {
                self.transmit(uart);
            }
        }
        uart.fail("MIS after 1000 looks", 1, 0)
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// No FIFOs; receives on RXFF; clears what RIS shows on every interrupt.
#[derive(Debug, Default)]
pub struct OldOpenBsd(Queues);

impl OldOpenBsd {
    fn transmit(&mut self, uart: &mut Uart<'_>) {
        while !uart.any(reg::FR, fr::TXFF)
            && let Some(byte) = self.0.to_send.pop_front()
        {
            uart.write(reg::DR, byte.into());
        }
        uart.write(reg::IMSC, mask(&self.0));
    }
}

impl Driver for OldOpenBsd {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::LCR_H, lcr_h::WLEN8);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, RX);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        self.0.enqueue(bytes);
        self.transmit(uart);
        Ok(())
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        let status = uart.read(reg::RIS);
        uart.write(reg::ICR, status);
        for _ in 0..super::MOST_AT_ONCE {
            if !uart.any(reg::FR, fr::RXFF) {
                break;
            }
            let data = uart.read(reg::DR);
            self.0.receive(data);
        }
        if status & int::TX != 0 {
            self.transmit(uart);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// With FIFOs; MIS.TX drives output; the console spins on TXFE.
#[derive(Debug, Default)]
pub struct NewOpenBsd(Queues);

impl NewOpenBsd {
    fn transmit(&mut self, uart: &mut Uart<'_>) {
        for _ in 0..16 {
            let Some(byte) = self.0.to_send.pop_front() else {
                break;
            };
            uart.write(reg::DR, byte.into());
        }
        uart.write(reg::IMSC, mask(&self.0));
    }

    /// The console's output: FIFO by FIFO, then until it is empty.
    pub fn console(uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        for &byte in bytes {
            uart.wait("room", |uart| !uart.any(reg::FR, fr::TXFF))?;
            uart.write(reg::DR, byte.into());
        }
        uart.wait("TXFE", |uart| uart.any(reg::FR, fr::TXFE))
    }
}

impl Driver for NewOpenBsd {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, RX);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        self.0.enqueue(bytes);
        self.transmit(uart);
        Ok(())
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        let status = uart.read(reg::MIS);
        uart.write(reg::ICR, status);
        if status & RX != 0 {
            self.0.receive_all(uart);
        }
        if status & int::TX != 0 {
            self.transmit(uart);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}
