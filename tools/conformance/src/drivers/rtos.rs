// SPDX-License-Identifier: MIT
//! Small systems: Zephyr, RTEMS, NuttX, seL4, ArceOS, Unikraft.

use super::{Driver, Queues};
use crate::registers::{cr, fr, int, lcr_h, reg};
use crate::{Uart, Verdict, Width};

const ENABLED: u32 = cr::UARTEN | cr::TXE | cr::RXE;
const RX: u32 = int::RX | int::RT;

/// Sends byte by byte, each once `busy` is clear in FR.
fn send_polled(uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
    for &byte in bytes {
        uart.wait("room", |uart| !uart.any(reg::FR, fr::TXFF))?;
        uart.write(reg::DR, byte.into());
    }
    Ok(())
}

/// Works only while CR reads back RXE and TXE; its handler never clears.
#[derive(Debug, Default)]
pub struct Zephyr(Queues);

impl Zephyr {
    /// Fills the FIFO, as its application's callback does.
    fn transmit(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.has(reg::CR, cr::TXE)?;
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
        uart.write(reg::IMSC, RX | tx);
        Ok(())
    }
}

impl Driver for Zephyr {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::CR, 0);
        uart.write(reg::IBRD, 13);
        uart.write(reg::FBRD, 1);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::IFLS, 0);
        uart.write(reg::IMSC, 0);
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, RX);
        Ok(())
    }

    /// The driver makes the first fill; the rest follows interrupts.
    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        self.0.enqueue(bytes);
        self.transmit(uart)
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.has(reg::CR, cr::RXE)?;
        self.0.receive_all(uart);
        if uart.any(reg::MIS, int::TX) {
            self.transmit(uart)?;
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// Clears RX and RT and then reads at most a FIFO; writes a chunk and then clears TX;
/// reads DR before each byte it writes, which loses input on hardware too.
#[derive(Debug, Default)]
pub struct Rtems(Queues);

impl Rtems {
    fn transmit(&mut self, uart: &mut Uart<'_>) {
        let mut room = 16;
        while room > 0
            && !uart.any(reg::FR, fr::TXFF)
            && let Some(byte) = self.0.to_send.pop_front()
        {
            let before = uart.read(reg::DR);
            uart.write(reg::DR, before & !0xFF | u32::from(byte));
            room -= 1;
        }
        uart.write(reg::ICR, int::TX);
    }
}

impl Driver for Rtems {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::CR, 0);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, RX);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        self.0.enqueue(bytes);
        if !bytes.is_empty() {
            uart.write(reg::IMSC, RX | int::TX);
            self.transmit(uart);
        }
        Ok(())
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        let status = uart.read(reg::MIS);
        if status & RX != 0 {
            uart.write(reg::ICR, RX);
            for _ in 0..32 {
                if uart.any(reg::FR, fr::RXFE) {
                    break;
                }
                let data = uart.read(reg::DR);
                self.0.receive(data);
            }
        }
        if status & int::TX != 0 {
            if self.0.to_send.is_empty() {
                uart.write(reg::IMSC, RX);
            } else {
                self.transmit(uart);
            }
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// Waits for TXFE before each character; never clears.
#[derive(Debug, Default)]
pub struct NuttX(Queues);

impl Driver for NuttX {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::CR, 0);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, RX);
        uart.see(reg::IMSC, RX)
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        for &byte in bytes {
            uart.wait("TXFE", |uart| uart.any(reg::FR, fr::TXFE))?;
            uart.write(reg::DR, byte.into());
        }
        Ok(())
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        if uart.any(reg::MIS, RX) {
            self.0.receive_all(uart);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// First clears every interrupt it has, then takes one character at a time.
#[derive(Debug, Default)]
pub struct SeL4(Queues);

impl Driver for SeL4 {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::IMSC, RX);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        send_polled(uart, bytes)
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::ICR, 0x7F0);
        if !uart.any(reg::FR, fr::RXFE) {
            let data = uart.read(reg::DR);
            self.0.receive(data);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// No FIFOs, IFLS=0, RXIM only; clears everything after reading.
#[derive(Debug, Default)]
pub struct ArceOs(Queues);

impl Driver for ArceOs {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::IFLS, 0);
        uart.write(reg::IMSC, int::RX);
        uart.write(reg::CR, ENABLED);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        send_polled(uart, bytes)
    }

    fn interrupt(&mut self, uart: &mut Uart<'_>) -> Verdict {
        if uart.any(reg::MIS, int::RX) {
            self.0.receive_all(uart);
        }
        uart.write(reg::ICR, int::ALL);
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}

/// 16-bit accesses, no FIFOs, RXE never set, polled.
#[derive(Debug, Default)]
pub struct Unikraft(Queues);

impl Driver for Unikraft {
    fn open(&mut self, uart: &mut Uart<'_>) -> Verdict {
        uart.write_as(reg::CR, Width::Half, 0);
        uart.write_as(reg::ICR, Width::Half, 0x7FF);
        uart.write_as(reg::LCR_H, Width::Half, lcr_h::WLEN8);
        uart.write_as(reg::CR, Width::Half, cr::UARTEN | cr::TXE);
        Ok(())
    }

    fn send(&mut self, uart: &mut Uart<'_>, bytes: &[u8]) -> Verdict {
        for &byte in bytes {
            uart.wait("room", |uart| {
                uart.read_as(reg::FR, Width::Half) & fr::TXFF == 0
            })?;
            uart.write_as(reg::DR, Width::Half, byte.into());
        }
        Ok(())
    }

    fn poll(&mut self, uart: &mut Uart<'_>) -> Verdict {
        while uart.read_as(reg::FR, Width::Half) & fr::RXFE == 0 && !self.0.received.is_full() {
            let data = uart.read_as(reg::DR, Width::Half);
            self.0.receive(data);
        }
        Ok(())
    }

    fn queues(&self) -> &Queues {
        &self.0
    }
}
