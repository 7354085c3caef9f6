// SPDX-License-Identifier: MIT
//! The guest's small drivers: an interrupt-driven one for the PL011, written
//! against the TRM as an operating system's is, and one for the PV console's
//! ring.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use vpl011::backend::{Backend as _, Sent};
use vpl011::ring::port::RingPort;
use vpl011::trap::{Access, Width};
use vpl011::{Outcome, Uart};
use xen_io::Page;
use xen_io::fake::{Console, Line};

/// A serial line as a terminal program uses it.
pub(crate) trait Serial {
    /// Sends bytes.
    fn send(&mut self, bytes: &[u8]);
    /// Waits at most `timeout` and returns the received bytes.
    fn receive(&mut self, timeout: Duration) -> Vec<u8>;
}

// Offsets of registers from UARTDR on (TRM chapter 3).
const DR: u16 = 0x000;
const FR: u16 = 0x018;
const LCR_H: u16 = 0x02c;
const CR: u16 = 0x030;
const IFLS: u16 = 0x034;
const IMSC: u16 = 0x038;
const MIS: u16 = 0x040;
const ICR: u16 = 0x044;
const PERIPH_ID: [u16; 4] = [0xfe0, 0xfe4, 0xfe8, 0xfec];

const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
const LCR_H_FIFOS_8N1: u32 = 1 << 4 | 3 << 5;
const CR_ON: u32 = 1 | 1 << 8 | 1 << 9;
const IFLS_HALF: u32 = 2 << 3 | 2;
const RX: u32 = 1 << 4;
const TX: u32 = 1 << 5;
const RT: u32 = 1 << 6;

/// Reads of MIS in one interrupt before it counts as stuck.
const PASSES: usize = 256;

/// A driver of the PL011 that also does Xen's part: it sends the device's
/// doorbells and passes events to the device.
pub(crate) struct Pl011Driver {
    uart: Uart<RingPort<Page>>,
    line: Line,
    /// IMSC.
    mask: u32,
    queue: VecDeque<u8>,
    received: Vec<u8>,
    interrupts: Arc<AtomicU64>,
    /// What probing reported.
    pub(crate) report: String,
}

impl Pl011Driver {
    /// Finds and enables the device; counts its interrupts.
    pub(crate) fn probe(console: Console, interrupts: Arc<AtomicU64>) -> Result<Self> {
        let mut driver = Self {
            uart: Uart::new(RingPort::new(console.page)),
            line: console.line,
            mask: RX | RT,
            queue: VecDeque::new(),
            received: Vec::new(),
            interrupts,
            report: String::new(),
        };
        let id = PERIPH_ID
            .iter()
            .rev()
            .fold(0, |id, at| id << 8 | driver.load(*at));
        ensure!(id & 0xfff == 0x011, "this is no PL011: {id:#010x}");
        driver.report = format!("ttyAMA0: a PL011 rev{}", id >> 20 & 0xf);
        driver.store(IFLS, IFLS_HALF);
        driver.store(LCR_H, LCR_H_FIFOS_8N1);
        driver.store(CR, CR_ON);
        driver.store(IMSC, driver.mask);
        Ok(driver)
    }

    fn load(&mut self, offset: u16) -> u32 {
        let outcome = self.uart.read(Access::new(offset, Width::Word));
        self.ring(outcome)
    }

    fn store(&mut self, offset: u16, value: u32) {
        let outcome = self.uart.write(Access::new(offset, Width::Word), value);
        self.ring(outcome);
    }

    fn ring(&self, outcome: Outcome) -> u32 {
        if outcome.doorbell {
            self.line.notify();
        }
        outcome.value
    }

    fn transmit(&mut self) {
        while let Some(byte) = self.queue.front().copied() {
            if self.load(FR) & FR_TXFF != 0 {
                break;
            }
            self.queue.pop_front();
            self.store(DR, byte.into());
        }
        self.mask = if self.queue.is_empty() {
            RX | RT
        } else {
            RX | RT | TX
        };
        self.store(IMSC, self.mask);
    }

    /// Handles interrupts while the line is high.
    fn interrupt(&mut self) {
        if self.uart.pending().is_empty() {
            return;
        }
        self.interrupts.fetch_add(1, Ordering::Relaxed);
        for _ in 0..PASSES {
            let status = self.load(MIS);
            if status == 0 {
                return;
            }
            self.store(ICR, status & !(RX | RT | TX));
            if status & (RX | RT) != 0 {
                while self.load(FR) & FR_RXFE == 0 {
                    let byte = self.load(DR).to_le_bytes()[0];
                    self.received.push(byte);
                }
            }
            if status & TX != 0 {
                self.transmit();
            }
        }
    }
}

impl Serial for Pl011Driver {
    fn send(&mut self, bytes: &[u8]) {
        self.queue.extend(bytes);
        self.transmit();
        self.interrupt();
    }

    fn receive(&mut self, timeout: Duration) -> Vec<u8> {
        if self.line.wait(timeout) {
            let outcome = self.uart.backend_event();
            self.ring(outcome);
            self.interrupt();
        }
        std::mem::take(&mut self.received)
    }
}

/// A driver of the PV console.
pub(crate) struct PvDriver {
    ring: RingPort<Page>,
    line: Line,
    queue: VecDeque<u8>,
}

impl PvDriver {
    pub(crate) fn new(console: Console) -> Self {
        Self {
            ring: RingPort::new(console.page),
            line: console.line,
            queue: VecDeque::new(),
        }
    }

    fn transmit(&mut self) {
        let mut bell = false;
        while let Some(byte) = self.queue.front().copied() {
            match self.ring.try_send(byte) {
                Sent::Full => break,
                Sent::Quiet => {}
                Sent::Ring => bell = true,
            }
            self.queue.pop_front();
        }
        if bell {
            self.line.notify();
        }
    }
}

impl Serial for PvDriver {
    fn send(&mut self, bytes: &[u8]) {
        self.queue.extend(bytes);
        self.transmit();
    }

    fn receive(&mut self, timeout: Duration) -> Vec<u8> {
        let mut received = Vec::new();
        if self.line.wait(timeout) {
            let mut bell = self.ring.look();
            while let Some(byte) = self.ring.try_recv() {
                received.push(byte);
            }
            bell |= self.ring.acknowledge();
            if bell {
                self.line.notify();
            }
            self.transmit();
        }
        received
    }
}
