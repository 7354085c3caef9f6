// SPDX-License-Identifier: MIT
//! Small systems: Zephyr, RTEMS, NuttX, seL4, ArceOS, Unikraft.

use vpl011::trap::Width;

use super::{Driver, Queues, check, exchange};
use crate::bench::{Bench, cr, fr, int, lcr_h, pattern, reg};

const ENABLED: u32 = cr::UARTEN | cr::TXE | cr::RXE;

/// Works only while CR reads back RXE and TXE; its handler never clears.
#[derive(Default)]
struct Zephyr(Queues);

impl Zephyr {
    /// Fills the FIFO, as its application's callback does.
    fn transmit(&mut self, uart: &mut Bench) {
        assert!(uart.any(reg::CR, cr::TXE));
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

impl Driver for Zephyr {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::CR, 0);
        uart.write(reg::IBRD, 13);
        uart.write(reg::FBRD, 1);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::IFLS, 0);
        uart.write(reg::IMSC, 0);
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, int::RX | int::RT);
    }

    /// The first fill is its own; the rest follows interrupts.
    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        self.0.to_send.extend(bytes);
        self.transmit(uart);
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        assert!(uart.any(reg::CR, cr::RXE));
        self.0.received.extend(uart.receive_all());
        if uart.any(reg::MIS, int::TX) {
            self.transmit(uart);
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn zephyr() {
    check(Zephyr::default);
}

/// Clears RX and RT and then reads at most a FIFO; writes a chunk and then
/// clears TX; reads DR before each byte it writes.
#[derive(Default)]
struct Rtems(Queues);

impl Rtems {
    fn transmit(&mut self, uart: &mut Bench) {
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
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::CR, 0);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, int::RX | int::RT);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        self.0.to_send.extend(bytes);
        if !bytes.is_empty() {
            uart.write(reg::IMSC, int::RX | int::RT | int::TX);
            self.transmit(uart);
        }
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        let status = uart.read(reg::MIS);
        if status & (int::RX | int::RT) != 0 {
            uart.write(reg::ICR, int::RX | int::RT);
            for _ in 0..32 {
                if uart.any(reg::FR, fr::RXFE) {
                    break;
                }
                self.0.received.push(uart.read(reg::DR) as u8);
            }
        }
        if status & int::TX != 0 {
            if self.0.to_send.is_empty() {
                uart.write(reg::IMSC, int::RX | int::RT);
            } else {
                self.transmit(uart);
            }
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

/// One direction at a time: its reads of DR take input away on hardware too.
#[test]
fn rtems() {
    for pace in [1, 3, 16, 100, 10_000] {
        let interrupts = exchange(&mut Rtems::default(), pace, &pattern(700), &[]);
        assert!(interrupts <= 1400, "{interrupts} interrupts");
        let interrupts = exchange(&mut Rtems::default(), pace, &[], &pattern(500));
        assert!(interrupts <= 1000, "{interrupts} interrupts");
    }
}

/// Waits for TXFE before each character; never clears.
#[derive(Default)]
struct NuttX(Queues);

impl Driver for NuttX {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::CR, 0);
        uart.write(reg::LCR_H, lcr_h::WLEN8 | lcr_h::FEN);
        uart.write(reg::CR, ENABLED);
        uart.write(reg::IMSC, int::RX | int::RT);
        assert_eq!(uart.read(reg::IMSC), int::RX | int::RT);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        for &byte in bytes {
            uart.wait("TXFE", |uart| uart.any(reg::FR, fr::TXFE));
            uart.write(reg::DR, byte.into());
        }
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        if uart.any(reg::MIS, int::RX | int::RT) {
            self.0.received.extend(uart.receive_all());
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn nuttx() {
    check(NuttX::default);
}

/// Clears everything it knows first, then takes one character a time.
#[derive(Default)]
struct SeL4(Queues);

impl Driver for SeL4 {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::IMSC, int::RX | int::RT);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        for &byte in bytes {
            uart.wait("TXFF", |uart| !uart.any(reg::FR, fr::TXFF));
            uart.write(reg::DR, byte.into());
        }
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        uart.write(reg::ICR, 0x7F0);
        if !uart.any(reg::FR, fr::RXFE) {
            self.0.received.push(uart.read(reg::DR) as u8);
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn sel4() {
    for pace in [1, 3, 16] {
        exchange(&mut SeL4::default(), pace, &pattern(300), &pattern(300));
    }
}

/// No FIFOs, IFLS=0, RXIM only; clears everything after reading.
#[derive(Default)]
struct ArceOs(Queues);

impl Driver for ArceOs {
    fn open(&mut self, uart: &mut Bench) {
        uart.write(reg::ICR, int::ALL);
        uart.write(reg::IFLS, 0);
        uart.write(reg::IMSC, int::RX);
        uart.write(reg::CR, ENABLED);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        for &byte in bytes {
            uart.wait("TXFF", |uart| !uart.any(reg::FR, fr::TXFF));
            uart.write(reg::DR, byte.into());
        }
    }

    fn interrupt(&mut self, uart: &mut Bench) {
        assert!(uart.any(reg::MIS, int::RX));
        self.0.received.extend(uart.receive_all());
        uart.write(reg::ICR, int::ALL);
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn arceos() {
    check(ArceOs::default);
}

/// 16-bit accesses, no FIFOs, RXE never set, polled.
#[derive(Default)]
struct Unikraft(Queues);

impl Driver for Unikraft {
    fn open(&mut self, uart: &mut Bench) {
        uart.write_as(reg::CR, Width::Half, 0);
        uart.write_as(reg::ICR, Width::Half, 0x7FF);
        uart.write_as(reg::LCR_H, Width::Half, lcr_h::WLEN8);
        uart.write_as(reg::CR, Width::Half, cr::UARTEN | cr::TXE);
    }

    fn send(&mut self, uart: &mut Bench, bytes: &[u8]) {
        for &byte in bytes {
            uart.wait("TXFF", |uart| {
                uart.read_as(reg::FR, Width::Half) & fr::TXFF == 0
            });
            uart.write_as(reg::DR, Width::Half, byte.into());
        }
    }

    fn poll(&mut self, uart: &mut Bench) {
        while uart.read_as(reg::FR, Width::Half) & fr::RXFE == 0 {
            self.0
                .received
                .push((uart.read_as(reg::DR, Width::Half) & 0xFF) as u8);
        }
    }

    fn received(&self) -> &[u8] {
        &self.0.received
    }
}

#[test]
fn unikraft() {
    check(Unikraft::default);
}
