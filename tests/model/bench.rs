// SPDX-License-Identifier: MIT
//! A device on a line whose other end is the test, and a target for the conformance
//! suite.

use std::collections::VecDeque;

use conformance::{Abort, NotPossible, Target};
use vpl011::backend::Sent;
use vpl011::trap::{Direction, Width};
use vpl011::{Access, Backend, Glance, Outcome, Profile, Uart};

pub(crate) use conformance::registers::{cr, fr, int, lcr_h, reg};

/// A line whose far side accepts `room` bytes before it needs more room.
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

    fn waiting(&self) -> usize {
        self.input.len()
    }
}

/// The device, and the observed state of its interrupt line.
pub(crate) struct Bench {
    pub(crate) uart: Uart<Wire>,
    /// The level of the interrupt line.
    pub(crate) line: bool,
    /// Of the latest outcome.
    glance: Glance,
    /// The far side takes only what is requested.
    held: bool,
    /// Characters sent by the fast path.
    pub(crate) sent_short: usize,
}

impl Bench {
    /// A device after reset, on a line that accepts everything.
    pub(crate) fn new() -> Self {
        Self::with_room(usize::MAX)
    }

    /// A device after reset, on a line that accepts `room` bytes.
    pub(crate) fn with_room(room: usize) -> Self {
        Self::with_profile(Profile::Pl011, room)
    }

    /// The same with a profile.
    pub(crate) fn with_profile(profile: Profile, room: usize) -> Self {
        let wire = Wire {
            room,
            ..Wire::default()
        };
        Self {
            uart: Uart::with_profile(profile, wire),
            line: false,
            glance: Glance::default(),
            held: false,
            sent_short: 0,
        }
    }

    /// With `LCR_H` as drivers set it for FIFOs and 8 bits.
    pub(crate) fn fifos(mut self) -> Self {
        self.write(reg::LCR_H, lcr_h::FEN | lcr_h::WLEN8);
        self
    }

    pub(crate) fn observe(&mut self, outcome: Outcome) -> u32 {
        let line = !outcome.pending.is_empty();
        self.line = line;
        self.glance = outcome.glance;
        outcome.value
    }

    /// An access; a value from the glance is compared with the device's.
    fn access(&mut self, direction: Direction, access: Access, value: u32) -> u32 {
        let peeked = self.glance.peek(direction, access, value);
        let before = peeked.map(|_| format!("{:?}", self.uart));
        let outcome = match direction {
            Direction::Read => self.uart.read(access),
            Direction::Write => self.write_either_way(access, value),
        };
        if let (Some(peeked), Some(before)) = (peeked, before) {
            assert_eq!(outcome.value, peeked, "{direction:?} {access:?} {value:#x}");
            assert!(!outcome.doorbell && !outcome.stalled);
            let after = format!("{:?}", self.uart);
            assert_eq!(before, after, "{direction:?} {access:?} {value:#x}");
        }
        self.observe(outcome)
    }

    /// A write by the fast path, if it applies, compared with the normal path.
    fn write_either_way(&mut self, access: Access, value: u32) -> Outcome {
        // Earlier output is left out, because it may be long.
        let mut output = std::mem::take(&mut self.uart.backend_mut().output);
        let mut other = self.uart.clone();
        let outcome = other.write(access, value);
        match self.uart.send(access, value) {
            Some(sent) => {
                assert_eq!(sent, outcome, "{access:?} {value:#x}");
                assert_eq!(format!("{:?}", self.uart), format!("{other:?}"));
                self.sent_short += 1;
            }
            None => self.uart = other,
        }
        let wire = self.uart.backend_mut();
        output.append(&mut wire.output);
        wire.output = output;
        outcome
    }

    /// A read of UARTFR from the glance; returns whether the guest polls without
    /// effect.
    pub(crate) fn poll(&mut self) -> bool {
        let seen = self.peek(reg::FR).expect("an answer at a glance");
        let access = Access::new(reg::FR, Width::Word);
        let Some((flags, glance)) = self.glance.poll(Direction::Read, access) else {
            assert_eq!(seen & fr::RXFE, 0);
            return false;
        };
        assert_eq!(flags, seen);
        self.glance = glance;
        glance.stalled()
    }

    /// The glance's value for a 32-bit read.
    pub(crate) fn peek(&self, offset: u16) -> Option<u32> {
        let access = Access::new(offset, Width::Word);
        self.glance.peek(Direction::Read, access, 0)
    }

    /// The glance's answer to a 32-bit write.
    pub(crate) fn peek_write(&self, offset: u16, value: u32) -> Option<u32> {
        let access = Access::new(offset, Width::Word);
        self.glance.peek(Direction::Write, access, value)
    }

    pub(crate) fn read_as(&mut self, offset: u16, width: Width) -> u32 {
        self.access(Direction::Read, Access::new(offset, width), 0)
    }

    pub(crate) fn write_as(&mut self, offset: u16, width: Width, value: u32) {
        let read = self.access(Direction::Write, Access::new(offset, width), value);
        assert_eq!(read, 0, "a write returns nothing");
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

    /// The far side accepts `bytes` more.
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

    /// Reads DR until RXFE, as all drivers do in some form.
    pub(crate) fn receive_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.any(reg::FR, fr::RXFE) {
            bytes.push((self.read(reg::DR) & 0xFF) as u8);
        }
        bytes
    }
}

/// A data abort's syndrome with ISV, for an access of 64 bits.
const WIDE: u64 = 0x24 << 26 | 1 << 24 | 3 << 22;

impl Target for Bench {
    fn read(&mut self, offset: u16, width: conformance::Width) -> Result<u32, Abort> {
        Ok(self.read_as(offset, own(width)))
    }

    fn write(&mut self, offset: u16, width: conformance::Width, value: u32) -> Result<(), Abort> {
        self.write_as(offset, own(width), value);
        Ok(())
    }

    fn read_wide(&mut self, offset: u16) -> Result<u64, Abort> {
        match Access::from_esr(WIDE, offset.into()) {
            Ok((Direction::Read, access)) => Ok(self.uart.read(access).value.into()),
            _ => Err(Abort),
        }
    }

    fn line(&mut self) -> bool {
        self.line
    }

    fn exchange(&mut self, take: u16, input: &[u8], output: &mut dyn FnMut(&[u8])) {
        if self.held {
            self.give_room(take.into());
        }
        self.feed(input);
        output(&std::mem::take(&mut self.uart.backend_mut().output));
    }

    fn hold(&mut self, hold: bool) -> Result<(), NotPossible> {
        self.held = hold;
        self.uart.backend_mut().room = if hold { 0 } else { usize::MAX };
        self.event();
        Ok(())
    }

    fn send_break(&mut self) -> Result<(), NotPossible> {
        let outcome = self.uart.receive_break();
        self.observe(outcome);
        Ok(())
    }

    fn reset_peer(&mut self) {
        self.held = false;
        *self.uart.backend_mut() = Wire {
            room: usize::MAX,
            ..Wire::default()
        };
        self.event();
    }
}

pub(crate) fn own(width: conformance::Width) -> Width {
    match width {
        conformance::Width::Byte => Width::Byte,
        conformance::Width::Half => Width::Half,
        conformance::Width::Word => Width::Word,
    }
}
