// SPDX-License-Identifier: MIT
//! Boot firmware: U-Boot, EDK2, TF-A. All polled.

use super::{Driver, Queues};
use crate::registers::{cr, fr, lcr_h, reg};
use crate::{Uart, Verdict, Width};

/// Treats any of bits 31 to 8 of DR as an error; the divisors may stay 0.
#[derive(Debug, Default)]
pub struct UBoot(Queues);

impl Driver for UBoot {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE | cr::RTS);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        for &byte in bytes {
            uart.wait("room", |uart| !uart.any(reg::FR, fr::TXFF))?;
            uart.write(reg::DR, byte.into());
        }
        Ok(())
    }

    fn poll(&mut self, uart: &mut Uart<'_>) -> Verdict {
        while !uart.any(reg::FR, fr::RXFE) {
            let data = uart.read(reg::DR);
            uart.check("errors of a character", data & 0xFFFF_FF00, 0)?;
            if self.0.received.is_full() {
                break;
            }
            self.0.receive(data);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// Programs the port unless it reads back as required; data by bytes.
#[derive(Debug, Default)]
pub struct Edk2 {
    queues: Queues,
    programmed: u32,
}

impl Edk2 {
    /// The first action of each of its stages.
    pub fn initialize(&mut self, uart: &mut Uart<'_>) -> Verdict {
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
            return Ok(());
        }
        self.programmed += 1;
        uart.wait("TXFE", |uart| uart.any(reg::FR, fr::TXFE))?;
        uart.write(reg::CR, 0);
        for (offset, value) in wanted {
            uart.write(offset, value);
        }
        uart.write(reg::RSR, 0);
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        Ok(())
    }

    /// How often it had to program the port.
    #[must_use]
    pub fn programmed(&self) -> u32 {
        self.programmed
    }
}

impl Driver for Edk2 {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        self.initialize(uart)
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        for &byte in bytes {
            uart.wait("room", |uart| !uart.any(reg::FR, fr::TXFF))?;
            uart.write_as(reg::DR, Width::Byte, byte.into());
        }
        Ok(())
    }

    fn poll(&mut self, uart: &mut Uart<'_>) -> Verdict {
        while !uart.any(reg::FR, fr::RXFE) && !self.queues.received.is_full() {
            let data = uart.read_as(reg::DR, Width::Byte);
            self.queues.receive(data);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.queues
    }
}

/// Flushes by BUSY before the next stage.
#[derive(Debug, Default)]
pub struct TfA(Queues);

impl Driver for TfA {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::CR, 0);
        uart.write(reg::IBRD, 1);
        uart.write(reg::FBRD, 0);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::RSR, 0);
        uart.write(reg::CR, cr::UARTEN | cr::TXE | cr::RXE);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        for &byte in bytes {
            uart.wait("room", |uart| !uart.any(reg::FR, fr::TXFF))?;
            uart.write(reg::DR, byte.into());
        }
        uart.wait("the end of BUSY", |uart| !uart.any(reg::FR, fr::BUSY))
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}
