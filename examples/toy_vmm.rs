// SPDX-License-Identifier: MIT
//! A toy virtual machine monitor: what an embedder of this crate writes.
//!
//! It is the host's half of a PL011: a lock around the device, an interrupt
//! line, and a far side. The guest is a function that knows nothing but
//! addresses, as a driver would.
//!
//! `cargo run -p vpl011 --example toy_vmm`

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;
use vpl011::backend::{Backend, Sent, Traffic};
use vpl011::trap::{Access, Width};
use vpl011::{Outcome, Uart};

/// Where the device stands in the guest's address space.
const BASE: u64 = 0x0900_0000;
/// The device's frame, in bytes.
const SIZE: u64 = 0x1000;

// Register offsets and bits a driver needs (TRM 3.2, 3.3.3, 3.3.10).
const DR: u64 = BASE;
const FR: u64 = BASE + 0x18;
const IMSC: u64 = BASE + 0x38;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
const RX_AND_RT: u32 = (1 << 4) | (1 << 6);

/// The far side of the line: what the guest said, and what it is yet to hear.
#[derive(Default)]
struct Terminal {
    said: Vec<u8>,
    typed: VecDeque<u8>,
    traffic: Traffic,
}

impl Backend for Terminal {
    fn has_room(&self) -> bool {
        true
    }

    fn try_send(&mut self, byte: u8) -> Sent {
        self.said.push(byte);
        self.traffic.bytes_out += 1;
        Sent::Quiet
    }

    fn try_recv(&mut self) -> Option<u8> {
        let byte = self.typed.pop_front()?;
        self.traffic.bytes_in += 1;
        Some(byte)
    }

    fn has_input(&self) -> bool {
        !self.typed.is_empty()
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

/// The machine: one device behind its lock, and the line to the guest's
/// interrupt controller.
struct Vmm {
    uart: Mutex<Uart<Terminal>>,
    interrupt: AtomicBool,
}

impl Vmm {
    fn new() -> Self {
        Self {
            uart: Mutex::new(Uart::new(Terminal::default())),
            interrupt: AtomicBool::new(false),
        }
    }

    /// Does what an outcome asks for while the lock is held. The far side is
    /// this process, so there is no doorbell to ring afterwards.
    fn settle(&self, outcome: Outcome) -> u32 {
        let high = !outcome.pending.is_empty();
        self.interrupt.store(high, Ordering::Release);
        outcome.value
    }

    /// A 32-bit load of the guest's; what is nobody's reads as 0.
    fn load(&self, address: u64) -> u32 {
        let Some(access) = access(address) else {
            return 0;
        };
        let mut uart = self.uart.lock();
        let outcome = uart.read(access);
        self.settle(outcome)
    }

    /// A 32-bit store of the guest's.
    fn store(&self, address: u64, value: u32) {
        if let Some(access) = access(address) {
            let mut uart = self.uart.lock();
            let outcome = uart.write(access, value);
            self.settle(outcome);
        }
    }

    /// Somebody types.
    fn typed(&self, text: &str) {
        let mut uart = self.uart.lock();
        uart.backend_mut().typed.extend(text.bytes());
        let outcome = uart.backend_event();
        self.settle(outcome);
    }
}

/// What an access asks of the device, if the address is the device's.
fn access(address: u64) -> Option<Access> {
    let offset = address.checked_sub(BASE).filter(|&offset| offset < SIZE)?;
    Some(Access {
        offset: u16::try_from(offset).ok()?,
        width: Width::Word,
    })
}

/// The guest's driver sends: it waits for room before each character.
fn print(vmm: &Vmm, text: &str) {
    for byte in text.bytes() {
        while vmm.load(FR) & FR_TXFF != 0 {}
        vmm.store(DR, byte.into());
    }
}

/// The guest's interrupt handler takes what has arrived.
fn take(vmm: &Vmm) -> String {
    let mut taken = String::new();
    while vmm.load(FR) & FR_RXFE == 0 {
        taken.push(char::from((vmm.load(DR) & 0xFF) as u8));
    }
    taken
}

/// The guest greets, hears its name by interrupt, and answers. What it said,
/// and how the interrupt line was before, during and after.
fn run() -> (String, [bool; 3]) {
    let vmm = Vmm::new();
    let line = || vmm.interrupt.load(Ordering::Acquire);
    vmm.store(IMSC, RX_AND_RT);
    print(&vmm, "Who is there?\n");
    let before = line();
    vmm.typed("a stranger");
    let during = line();
    let name = take(&vmm);
    print(&vmm, &format!("Hello, {name}.\n"));
    let after = line();
    let said = vmm.uart.lock().backend().said.clone();
    (
        String::from_utf8_lossy(&said).into_owned(),
        [before, during, after],
    )
}

fn main() {
    let (said, lines) = run();
    print!("{said}");
    println!("interrupt before, during and after input: {lines:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_heard_and_hears() {
        let (said, lines) = run();
        assert_eq!(said, "Who is there?\nHello, a stranger.\n");
        assert_eq!(lines, [false, true, false]);
    }

    #[test]
    fn the_frame_is_the_devices_and_no_more() {
        assert!(access(BASE - 1).is_none());
        assert!(access(BASE + SIZE - 4).is_some());
        assert!(access(BASE + SIZE).is_none());
    }
}
