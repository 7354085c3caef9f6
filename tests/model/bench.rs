// SPDX-License-Identifier: MIT
//! A device on a wire that the test holds the other end of, and the register
//! map in the test's own constants (Arm DDI 0183G, chapter 3).

use std::collections::VecDeque;

use vpl011::backend::{Sent, Traffic};
use vpl011::trap::Width;
use vpl011::{Access, Backend, Outcome, Uart};

pub(crate) mod reg {
    pub(crate) const DR: u16 = 0x000;
    pub(crate) const RSR: u16 = 0x004;
    pub(crate) const FR: u16 = 0x018;
    pub(crate) const ILPR: u16 = 0x020;
    pub(crate) const IBRD: u16 = 0x024;
    pub(crate) const FBRD: u16 = 0x028;
    pub(crate) const LCR_H: u16 = 0x02C;
    pub(crate) const CR: u16 = 0x030;
    pub(crate) const IFLS: u16 = 0x034;
    pub(crate) const IMSC: u16 = 0x038;
    pub(crate) const RIS: u16 = 0x03C;
    pub(crate) const MIS: u16 = 0x040;
    pub(crate) const ICR: u16 = 0x044;
    pub(crate) const DMACR: u16 = 0x048;
}

pub(crate) mod fr {
    pub(crate) const CTS: u32 = 1 << 0;
    pub(crate) const DSR: u32 = 1 << 1;
    pub(crate) const DCD: u32 = 1 << 2;
    pub(crate) const BUSY: u32 = 1 << 3;
    pub(crate) const RXFE: u32 = 1 << 4;
    pub(crate) const TXFF: u32 = 1 << 5;
    pub(crate) const RXFF: u32 = 1 << 6;
    pub(crate) const TXFE: u32 = 1 << 7;
    pub(crate) const RI: u32 = 1 << 8;
}

pub(crate) mod int {
    pub(crate) const RI: u32 = 1 << 0;
    pub(crate) const CTS: u32 = 1 << 1;
    pub(crate) const DCD: u32 = 1 << 2;
    pub(crate) const DSR: u32 = 1 << 3;
    pub(crate) const RX: u32 = 1 << 4;
    pub(crate) const TX: u32 = 1 << 5;
    pub(crate) const RT: u32 = 1 << 6;
    pub(crate) const BE: u32 = 1 << 9;
    pub(crate) const OE: u32 = 1 << 10;
    pub(crate) const ALL: u32 = 0x7FF;
}

pub(crate) mod cr {
    pub(crate) const UARTEN: u32 = 1 << 0;
    pub(crate) const LBE: u32 = 1 << 7;
    pub(crate) const TXE: u32 = 1 << 8;
    pub(crate) const RXE: u32 = 1 << 9;
    pub(crate) const DTR: u32 = 1 << 10;
    pub(crate) const RTS: u32 = 1 << 11;
    pub(crate) const OUT1: u32 = 1 << 12;
    pub(crate) const OUT2: u32 = 1 << 13;
}

pub(crate) mod lcr_h {
    pub(crate) const BRK: u32 = 1 << 0;
    pub(crate) const FEN: u32 = 1 << 4;
    pub(crate) const WLEN8: u32 = 3 << 5;
}

/// Errors in bits 11:8 of DR.
pub(crate) const DR_BE: u32 = 1 << 10;
pub(crate) const DR_OE: u32 = 1 << 11;

/// A line whose far side takes `room` bytes before it must be given more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    pub(crate) output: Vec<u8>,
    pub(crate) room: usize,
    pub(crate) input: VecDeque<u8>,
}

impl Backend for Wire {
    fn try_send(&mut self, byte: u8) -> Sent {
        if self.room == 0 {
            return Sent::Full;
        }
        self.room -= 1;
        self.output.push(byte);
        Sent::Quiet
    }

    fn try_recv(&mut self) -> Option<u8> {
        self.input.pop_front()
    }

    fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            bytes_out: self.output.len() as u64,
            ..Traffic::default()
        }
    }
}

/// The device, and what was seen of its interrupt line.
pub(crate) struct Bench {
    pub(crate) uart: Uart<Wire>,
    /// The level of the interrupt line.
    pub(crate) line: bool,
    /// Times the line rose.
    pub(crate) raised: usize,
}

/// Turns of a wait loop after which a driver counts as hung.
const PATIENCE: usize = 10_000;

impl Bench {
    /// A device after reset, on a line that takes everything.
    pub(crate) fn new() -> Self {
        Self::with_room(usize::MAX)
    }

    /// A device after reset, on a line that takes `room` bytes.
    pub(crate) fn with_room(room: usize) -> Self {
        let uart = Uart::new(Wire {
            room,
            ..Wire::default()
        });
        Self {
            uart,
            line: false,
            raised: 0,
        }
    }

    /// With `LCR_H` as drivers set it for FIFOs and 8 bits.
    pub(crate) fn fifos(mut self) -> Self {
        self.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
        self
    }

    pub(crate) fn observe(&mut self, outcome: Outcome) -> u32 {
        let line = !outcome.pending.is_empty();
        self.raised += usize::from(line && !self.line);
        self.line = line;
        outcome.value
    }

    pub(crate) fn read_as(&mut self, offset: u16, width: Width) -> u32 {
        let outcome = self.uart.read(Access::new(offset, width));
        self.observe(outcome)
    }

    pub(crate) fn write_as(&mut self, offset: u16, width: Width, value: u32) {
        let outcome = self.uart.write(Access::new(offset, width), value);
        assert_eq!(outcome.value, 0, "a write returns nothing");
        self.observe(outcome);
    }

    /// A 32-bit read.
    pub(crate) fn read(&mut self, offset: u16) -> u32 {
        self.read_as(offset, Width::Word)
    }

    /// A 32-bit write.
    pub(crate) fn write(&mut self, offset: u16, value: u32) {
        self.write_as(offset, Width::Word, value);
    }

    /// Whether any of `bits` is set in a register.
    pub(crate) fn any(&mut self, offset: u16, bits: u32) -> bool {
        self.read(offset) & bits != 0
    }

    /// Writes each byte to DR.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write(reg::DR, byte.into());
        }
    }

    /// Bytes arrive at the far side's end of the line.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.uart.backend_mut().input.extend(bytes);
        self.event();
    }

    /// The far side takes `bytes` more.
    pub(crate) fn give_room(&mut self, bytes: usize) {
        let wire = self.uart.backend_mut();
        wire.room = wire.room.saturating_add(bytes);
        self.event();
    }

    pub(crate) fn event(&mut self) {
        let outcome = self.uart.backend_event();
        self.observe(outcome);
    }

    pub(crate) fn output(&self) -> &[u8] {
        &self.uart.backend().output
    }

    /// Reads DR until RXFE, as every driver does in one way or another.
    pub(crate) fn receive_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.any(reg::FR, fr::RXFE) {
            bytes.push((self.read(reg::DR) & 0xFF) as u8);
        }
        bytes
    }

    /// Polls until `done`, while the far side takes a byte each turn.
    pub(crate) fn wait(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for _ in 0..PATIENCE {
            if done(self) {
                return;
            }
            self.give_room(1);
        }
        panic!("hung: {what}");
    }
}

/// `count` bytes that tell loss from reordering.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7 + i / 251) as u8).collect()
}
