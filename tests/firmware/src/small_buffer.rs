// SPDX-License-Identifier: MIT
//! A guest like a small system's shell: its interrupt handler puts input into a
//! buffer of 8 bytes, and its loop takes one byte every 2 ms. Faster input is lost.
//! The line is set to 2400 baud, without FIFOs.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write;

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTVCT_EL0, Readable};
use bare_metal::{Frame, Machine, Width};
use conformance::registers::{fr, int, reg};
use firmware::Fletcher;
use heapless::{Deque, String};

bare_metal::entry!(main);

/// Bytes of a paste, including lost ones.
const PASTE: u32 = 400;

/// 24 MHz / (16 × 625), 8 bits, no parity, one stop bit.
const LINE: [(u16, u32); 3] = [(reg::IBRD, 625), (reg::FBRD, 0), (reg::LCR_H, 0x60)];

fn main(machine: Machine) {
    let mut uart = Uart(machine.uart);
    let mut interrupt = machine.interrupt;
    for (register, value) in LINE {
        uart.write(register, value);
    }
    uart.write(reg::IMSC, int::RX);
    uart.say("\r\n<ready>\r\n");
    loop {
        let mut buffer = Deque::<u8, 8>::new();
        let (mut came, mut lost, mut sum) = (0, 0_u32, Fletcher::default());
        let mut next = now();
        while came < PASTE || !buffer.is_empty() {
            if buffer.is_empty() {
                next = now();
            }
            if interrupt.take() {
                while uart.read(reg::FR) & fr::RXFE == 0 {
                    let byte = uart.read(reg::DR).to_le_bytes()[0];
                    came += 1;
                    lost += u32::from(buffer.push_back(byte).is_err());
                }
                interrupt.end();
            }
            // After a pause of the vCPU, the loop catches up.
            while now() >= next
                && let Some(byte) = buffer.pop_front()
            {
                sum.add(byte);
                next += CNTFRQ_EL0.get() / 500;
            }
        }
        let mut line = String::<40>::new();
        // The text fits.
        let _ = write!(line, "[{lost} lost, sum {:08x}]\r\n", sum.value());
        uart.say(&line);
    }
}

/// The time, in ticks of the generic timer.
fn now() -> u64 {
    CNTVCT_EL0.get()
}

struct Uart(Frame);

impl Uart {
    fn read(&mut self, register: u16) -> u32 {
        // No access to a register of this UART aborts.
        self.0.read(register, Width::Word).unwrap_or_default()
    }

    fn write(&mut self, register: u16, value: u32) {
        let _ = self.0.write(register, Width::Word, value);
    }

    /// Output by polling.
    fn say(&mut self, text: &str) {
        for byte in text.bytes() {
            while self.read(reg::FR) & fr::TXFF != 0 {}
            self.write(reg::DR, byte.into());
        }
    }
}
