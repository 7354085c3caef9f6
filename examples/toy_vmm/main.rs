// SPDX-License-Identifier: MIT
//! A toy virtual machine monitor, in a hundred lines: the code of an embedder of
//! this crate. It is the host's half of a PL011: a lock around the device, an
//! interrupt line, and a far side. The guest is in `guest.rs`.
//!
//! `cargo run -p vpl011 --example toy_vmm`

mod guest;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;
use vpl011::backend::{Backend, Sent};
use vpl011::trap::{Access, Width};
use vpl011::{Outcome, Uart};

/// The addresses of the device's frame in the guest's address space.
const FRAME: std::ops::Range<u64> = 0x0900_0000..0x0900_1000;

/// The far side of the line: the guest's output, and its input.
#[derive(Default)]
struct Terminal {
    said: Vec<u8>,
    typed: VecDeque<u8>,
}

impl Backend for Terminal {
    fn try_send(&mut self, byte: u8) -> Sent {
        self.said.push(byte);
        Sent::Quiet
    }

    fn try_recv(&mut self) -> Option<u8> {
        self.typed.pop_front()
    }

    fn waiting(&self) -> usize {
        self.typed.len()
    }
}

/// One device with its lock, and the line to the guest's interrupt controller.
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

    /// Calls the device, and applies its outcome while the lock is held. The far
    /// side is this process: there is no doorbell to ring.
    fn ask(&self, entry: impl FnOnce(&mut Uart<Terminal>) -> Outcome) -> u32 {
        let mut uart = self.uart.lock();
        let outcome = entry(&mut uart);
        let high = !outcome.pending.is_empty();
        self.interrupt.store(high, Ordering::Release);
        outcome.value
    }

    /// A 32-bit load of the guest; other addresses read as 0.
    fn load(&self, address: u64) -> u32 {
        access(address).map_or(0, |access| self.ask(|uart| uart.read(access)))
    }

    /// A 32-bit store of the guest.
    fn store(&self, address: u64, value: u32) {
        access(address).map(|access| self.ask(|uart| uart.write(access, value)));
    }

    /// A user types.
    fn typed(&self, text: &str) {
        self.ask(|uart| {
            uart.backend_mut().typed.extend(text.bytes());
            uart.backend_event()
        });
    }
}

/// The access, if the address is the device's.
fn access(address: u64) -> Option<Access> {
    let offset = u16::try_from(address.checked_sub(FRAME.start)?).ok()?;
    FRAME.contains(&address).then_some(Access {
        offset,
        width: Width::Word,
    })
}

fn main() {
    let (said, lines) = guest::run();
    print!("{said}");
    println!("interrupt before, during and after input: {lines:?}");
}
