// SPDX-License-Identifier: MIT
//! A guest with the published crate `arm-pl011-uart`, unmodified.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use arm_pl011_uart::{DataBits, Interrupts, LineConfig, Parity, StopBits, Uart};
use bare_metal::Machine;
use firmware::{Driver, converse};

bare_metal::entry!(main);

const INPUT: Interrupts = Interrupts::RXI.union(Interrupts::RTI);

fn main(mut machine: Machine) {
    let mut uart = Uart::new(machine.uart.into_registers());
    let config = LineConfig {
        data_bits: DataBits::Bits8,
        parity: Parity::None,
        stop_bits: StopBits::One,
    };
    if !uart.read_identification().is_valid() || uart.enable(config, 115_200, 24_000_000).is_err() {
        return;
    }
    uart.set_interrupt_masks(INPUT);
    converse("arm-pl011-uart", &mut Port(uart), &mut machine.interrupt)
}

struct Port(Uart<'static>);

impl Driver for Port {
    fn put(&mut self, byte: u8) {
        while self.0.is_tx_fifo_full() {}
        self.0.write_word(byte);
    }

    fn get(&mut self) -> Option<u8> {
        // A character with an error is not echoed, so the test notices it.
        self.0.read_word().ok().flatten()
    }

    fn has_input(&self) -> bool {
        self.0.masked_interrupt_status().intersects(INPUT)
    }

    fn clear(&mut self) {
        self.0.clear_interrupts(INPUT);
    }
}
