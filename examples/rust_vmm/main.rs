// SPDX-License-Identifier: MIT
//! The device on the bus of a VMM that is built from rust-vmm's crates: `IoManager`
//! passes each access of a vCPU's exit to it.
//!
//! `cargo run -p vpl011 --features vm-device --example rust_vmm`

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use vm_device::bus::{MmioAddress, MmioRange};
use vm_device::device_manager::{IoManager, MmioManager};
use vpl011::backend::{Backend, Sent};
use vpl011::outcome::Line;
use vpl011::vm_device::OnBus;
use vpl011::{Outcome, Uart};

const BASE: u64 = 0x0900_0000;
const FRAME: u64 = 0x1000;

/// A far side that keeps the guest's output.
#[derive(Default)]
struct Terminal(Vec<u8>);

impl Backend for Terminal {
    fn try_send(&mut self, byte: u8) -> Sent {
        self.0.push(byte);
        Sent::Quiet
    }

    fn try_recv(&mut self) -> Option<u8> {
        None
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// A guest's output, and whether its interrupt line is high afterwards.
fn run(text: &str) -> (Vec<u8>, bool) {
    // A VMM has an irqfd here, or KVM's irq line.
    let irq = Arc::new(AtomicBool::new(false));
    let (driven, mut line) = (irq.clone(), Line::default());
    let then = move |outcome: Outcome| {
        if let Some(level) = line.follow(&outcome) {
            driven.store(level, Ordering::Release);
        }
    };
    let uart = Uart::new(Terminal::default());
    let device = Arc::new(Mutex::new(OnBus { uart, then }));
    let mut bus = IoManager::new();
    let range = MmioRange::new(MmioAddress(BASE), FRAME).expect("a frame");
    bus.register_mmio(range, device.clone())
        .expect("a free range");

    // A vCPU's exits: UARTIMSC, then UARTDR for each byte.
    let write = |offset, data: &[u8]| {
        let address = MmioAddress(BASE + offset);
        bus.mmio_write(address, data).expect("the device's");
    };
    write(0x38, &u32::to_le_bytes(1 << 5));
    for byte in text.bytes() {
        write(0x00, &[byte]);
    }
    let said = device
        .lock()
        .expect("nobody panicked")
        .uart
        .backend()
        .0
        .clone();
    (said, irq.load(Ordering::Acquire))
}

fn main() {
    let (said, line) = run("Hello from a guest\n");
    print!("{}", String::from_utf8_lossy(&said));
    println!("interrupt line: {line}");
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn the_bus_reaches_the_device() {
        assert_eq!(run("hello"), (b"hello".to_vec(), true));
        assert_eq!(run(""), (Vec::new(), false));
    }
}
