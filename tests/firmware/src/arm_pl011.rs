// SPDX-License-Identifier: MIT
//! A guest with the published crate `arm_pl011`, unmodified.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use arm_pl011::Pl011Uart;
use bare_metal::Machine;
use firmware::{Driver, converse};

bare_metal::entry!(main);

fn main(mut machine: Machine) {
    let mut uart = Pl011Uart::new(machine.uart.into_address());
    uart.init();
    converse("arm_pl011", &mut Port(uart), &mut machine.interrupt)
}

struct Port(Pl011Uart);

impl Driver for Port {
    fn put(&mut self, byte: u8) {
        self.0.putchar(byte);
    }

    fn get(&mut self) -> Option<u8> {
        self.0.getchar()
    }

    fn has_input(&self) -> bool {
        self.0.is_receive_interrupt()
    }

    fn clear(&mut self) {
        self.0.ack_interrupts();
    }
}
