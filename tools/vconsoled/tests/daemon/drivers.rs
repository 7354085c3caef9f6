// SPDX-License-Identifier: MIT
//! Drivers of a guest's lines.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use vpl011::ring::memory::RingMemory;
use vpl011::ring::port::RingPort;
use vpl011::trap::{Access, Width};
use vpl011::{Outcome, Uart};
use xen_io::fake::{Console, Line};
use xen_io::page::Page;

use super::PATIENCE;

/// A program in the guest on a serial line.
pub(crate) trait Serial {
    fn send(&mut self, bytes: &[u8]);
    fn receive(&mut self, length: usize) -> Vec<u8>;
}

const DR: u16 = 0x000;
const FR: u16 = 0x018;
const FR_BUSY: u32 = 1 << 3;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;

/// A polling driver of the PL011 on a private ring, and Xen's part.
pub(crate) struct UartDriver(Arc<Trapped>);

/// The device, as in Xen.
struct Trapped {
    uart: Mutex<Uart<RingPort<Page>>>,
    line: Line,
    /// Signalled when the daemon's event was handled.
    handled: Condvar,
}

impl UartDriver {
    pub(crate) fn new(console: Console) -> Self {
        let trapped = Arc::new(Trapped {
            uart: Mutex::new(Uart::new(RingPort::new(console.page))),
            line: console.line,
            handled: Condvar::new(),
        });
        let xen = Arc::downgrade(&trapped);
        // Xen handles events at any time, independently of the guest.
        std::thread::spawn(move || {
            while let Some(trapped) = xen.upgrade() {
                trapped.handle_event();
            }
        });
        Self(trapped)
    }

    pub(crate) fn line(&self) -> &Line {
        &self.0.line
    }

    pub(crate) fn store(&mut self, offset: u16, value: u32) {
        let mut uart = self.0.uart.lock().unwrap();
        let outcome = uart.write(Access::new(offset, Width::Word), value);
        self.0.done(outcome);
    }

    fn load(&mut self, offset: u16) -> u32 {
        self.0.load(&mut self.0.uart.lock().unwrap(), offset)
    }

    /// Polls until `flag` is clear.
    fn until_clear(&mut self, flag: u32) {
        let uart = self.0.uart.lock().unwrap();
        let (_uart, waited) = (self.0.handled)
            .wait_timeout_while(uart, PATIENCE, |uart| self.0.load(uart, FR) & flag != 0)
            .unwrap();
        assert!(!waited.timed_out(), "FR keeps {flag:#x}");
    }
}

impl Trapped {
    fn load(&self, uart: &mut Uart<RingPort<Page>>, offset: u16) -> u32 {
        self.done(uart.read(Access::new(offset, Width::Word)))
    }

    fn done(&self, outcome: Outcome) -> u32 {
        if outcome.doorbell {
            self.line.notify();
        }
        outcome.value
    }

    /// Handles the next event, if one comes soon.
    fn handle_event(&self) {
        if self.line.wait(Duration::from_millis(50)) {
            let outcome = self.uart.lock().unwrap().backend_event();
            self.done(outcome);
            self.handled.notify_all();
        } else {
            // For a domain that is gone, `wait` returns at once.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Serial for UartDriver {
    fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.until_clear(FR_TXFF);
            self.store(DR, (*byte).into());
        }
        // Bytes queued in the device are sent on events.
        self.until_clear(FR_BUSY);
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        (0..length)
            .map(|_| {
                self.until_clear(FR_RXFE);
                self.load(DR).to_le_bytes()[0]
            })
            .collect()
    }
}

const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;

/// A PV console's driver: direct access to the ring, a notification for every batch.
pub(crate) struct PvDriver(pub(crate) Console);

impl PvDriver {
    pub(crate) fn index(&self, offset: usize) -> u32 {
        self.0.page.load_u32(offset)
    }
}

impl Serial for PvDriver {
    fn send(&mut self, mut bytes: &[u8]) {
        let page = &self.0.page;
        let deadline = Instant::now() + PATIENCE;
        while !bytes.is_empty() {
            assert!(Instant::now() < deadline, "{} bytes are left", bytes.len());
            let (cons, prod) = (page.load_u32(OUT_CONS), page.load_u32(OUT_PROD));
            let room = 2048 - prod.wrapping_sub(cons) as usize;
            page.barrier();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            for (at, byte) in (prod..).zip(now) {
                page.store_u8(1024 + (at as usize & 2047), *byte);
            }
            page.barrier();
            page.store_u32(
                OUT_PROD,
                prod.wrapping_add(u32::try_from(now.len()).unwrap()),
            );
            self.0.line.notify();
            bytes = later;
            if !bytes.is_empty() {
                let _notified = self.0.line.wait(Duration::from_millis(50));
            }
        }
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        let page = &self.0.page;
        let mut bytes = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        while bytes.len() < length {
            assert!(
                Instant::now() < deadline,
                "{} of {length} bytes came",
                bytes.len()
            );
            let (mut cons, prod) = (page.load_u32(IN_CONS), page.load_u32(IN_PROD));
            page.barrier();
            if cons == prod {
                let _notified = self.0.line.wait(Duration::from_millis(50));
                continue;
            }
            while cons != prod && bytes.len() < length {
                bytes.push(page.load_u8(cons as usize & 1023));
                cons = cons.wrapping_add(1);
            }
            page.barrier();
            page.store_u32(IN_CONS, cons);
            self.0.line.notify();
        }
        bytes
    }
}
