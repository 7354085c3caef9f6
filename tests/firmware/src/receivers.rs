// SPDX-License-Identifier: MIT
//! A guest with drivers that lose input on other PL011s: one paste for each of
//! [`DRIVERS`].
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::{self, Write};

use bare_metal::{Frame, Interrupt, Machine};
use conformance::Width;
use conformance::family::{Acknowledge, Drain, Member, Port, Status};
use conformance::registers::{fr, int, reg};
use firmware::{Fletcher, own};

bare_metal::entry!(main);

/// Characters per paste.
const PASTE: u32 = 64 * 1024;

/// Clears its interrupt, without reading the status, after it has read all input.
const DRAINS_AND_CLEARS: Member = Member {
    status: Status::Never,
    drain: Drain::All,
    acknowledge: Acknowledge::OwnAfter,
    mask: int::RX,
    level: None,
    width: Width::Word,
};

/// Each driver with its name.
const DRIVERS: [(&str, Member); 4] = [
    ("RXIM, no FIFOs", DRAINS_AND_CLEARS),
    (
        "RXIM and RTIM, FIFOs",
        Member {
            mask: int::RX | int::RT,
            level: Some(2),
            ..DRAINS_AND_CLEARS
        },
    ),
    (
        "RTIM alone, no FIFOs",
        Member {
            mask: int::RT,
            ..DRAINS_AND_CLEARS
        },
    ),
    (
        "RTIM alone, FIFOs",
        Member {
            status: Status::Before,
            mask: int::RT,
            level: Some(2),
            ..DRAINS_AND_CLEARS
        },
    ),
];

fn main(machine: Machine) {
    let mut guest = Guest {
        uart: machine.uart,
        interrupt: machine.interrupt,
        received: 0,
        sum: Fletcher::default(),
    };
    for (name, member) in &DRIVERS {
        guest.receive(name, member);
    }
    // The port is closed, so nothing wakes the guest.
    guest.write(reg::IMSC, Width::Word, 0);
    guest.interrupt.wait();
}

struct Guest {
    uart: Frame,
    interrupt: Interrupt,
    received: u32,
    /// Of the received bytes.
    sum: Fletcher,
}

impl Guest {
    /// Receives one paste and prints the result.
    fn receive(&mut self, name: &str, member: &Member) {
        (self.received, self.sum) = (0, Fletcher::default());
        member.open(self);
        self.say(format_args!("\r\n<{name}>\r\n"));
        let mut interrupts = 0_u32;
        while self.received < PASTE {
            self.interrupt.wait();
            interrupts += 1;
            if member.interrupt(self).is_err() {
                break;
            }
        }
        self.write(reg::IMSC, Width::Word, 0);
        let (received, sum) = (self.received, self.sum.value());
        self.say(format_args!("[{received} {sum:08x} {interrupts}]"));
    }

    fn say(&mut self, text: fmt::Arguments<'_>) {
        // Writing to the port cannot fail.
        let _ = Polled(self).write_fmt(text);
    }
}

impl Port for Guest {
    fn read(&mut self, offset: u16, width: Width) -> u32 {
        // No access to a register of this UART aborts.
        self.uart.read(offset, own(width)).unwrap_or_default()
    }

    fn write(&mut self, offset: u16, width: Width, value: u32) {
        let _ = self.uart.write(offset, own(width), value);
    }

    fn received(&mut self, byte: u8) {
        self.received += 1;
        self.sum.add(byte);
    }
}

/// Output by polling.
struct Polled<'g>(&'g mut Guest);

impl Write for Polled<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while self.0.read(reg::FR, Width::Word) & fr::TXFF != 0 {}
            self.0.write(reg::DR, Width::Word, byte.into());
        }
        Ok(())
    }
}
