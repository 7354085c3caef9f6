// SPDX-License-Identifier: MIT
//! The device on its line: the only place that joins a [`Pl011`] and a
//! [`Backend`].

use crate::backend::{Backend, Sent};
use crate::device::{Effect, Pl011};
use crate::glance::Glance;
use crate::interrupt::Interrupts;
use crate::outcome::Outcome;
use crate::registers::{Profile, Register};
use crate::trap::Access;

/// What was counted since the device was made, modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that the backend took from the guest.
    pub bytes_out: u64,
    /// Bytes that the backend gave to the guest.
    pub bytes_in: u64,
    /// Doorbells asked for.
    pub doorbells: u64,
    /// Times the backend's indices made no sense and were resynchronised.
    pub resyncs: u64,
    /// Bytes the guest wrote in spite of TXFF, past all storage.
    pub dropped: u64,
    /// Characters that overran the receive FIFO.
    pub overruns: u64,
}

/// A PL011 whose line is `B`.
#[derive(Clone, Debug)]
pub struct Uart<B> {
    pub(crate) device: Pl011,
    pub(crate) backend: B,
    pub(crate) doorbells: u64,
    /// The device's, as the last entry left it.
    glance: Glance,
}

impl<B: Backend> Uart<B> {
    /// A PL011 after reset on a line.
    pub fn new(backend: B) -> Self {
        Self::with_profile(Profile::Pl011, backend)
    }

    /// A UART of this profile after reset on a line.
    pub fn with_profile(profile: Profile, backend: B) -> Self {
        Self::joined(Pl011::new(profile), backend, 0)
    }

    /// A device on a line, with the doorbells asked for so far.
    pub(crate) fn joined(device: Pl011, backend: B, doorbells: u64) -> Self {
        Self {
            glance: device.glance(),
            device,
            backend,
            doorbells,
        }
    }

    /// The guest reads. What names no register reads as 0.
    #[inline]
    pub fn read(&mut self, access: Access) -> Outcome {
        let Some(register) = self.device.register(access.offset) else {
            return self.noted(false);
        };
        let mut doorbell = false;
        let mut stalled = false;
        if register == Register::Flags && !self.device.is_drained() {
            // A polling driver sees room as soon as there is some.
            doorbell = self.drain();
            stalled = !self.device.is_drained();
        }
        let value = self.device.read(register);
        if register == Register::Data {
            doorbell = self.refill();
        }
        Outcome {
            value: access.width.truncate(value.into()),
            stalled,
            ..self.outcome(doorbell)
        }
    }

    /// What [`write`](Self::write) does, if it is what drivers write most: a
    /// character that goes straight to the line, which is known to have room.
    /// `None` for all else; then nothing has happened.
    #[inline]
    pub fn send(&mut self, access: Access, value: u32) -> Option<Outcome> {
        let straight = Register::is_data(access.offset) && self.device.sends_straight();
        if !straight || !self.backend.has_room() {
            return None;
        }
        let doorbell = match self.backend.try_send((value & 0xFF) as u8) {
            Sent::Full => return None,
            sent => sent == Sent::Ring,
        };
        if self.device.sent() {
            self.note_glance();
        }
        Some(self.noted(doorbell))
    }

    /// The guest writes. What names no register ignores it.
    #[inline]
    pub fn write(&mut self, access: Access, value: u32) -> Outcome {
        let Some(register) = self.device.register(access.offset) else {
            return self.noted(false);
        };
        let doorbell = match self.device.write(register, value, access.width) {
            Effect::None => false,
            Effect::Transmit(byte) => self.transmit(byte),
            Effect::Receive => self.refill(),
        };
        self.outcome(doorbell)
    }

    /// The backend signalled: it took output, gave input or both.
    pub fn backend_event(&mut self) -> Outcome {
        let mut doorbell = self.backend.event();
        doorbell |= self.drain();
        doorbell |= self.refill();
        self.device.input_pushes();
        self.outcome(doorbell)
    }

    /// A character arrives beside the backend, as from a console that has no
    /// ring; it overruns a full FIFO.
    pub fn receive(&mut self, byte: u8) -> Outcome {
        self.device.receive(byte);
        self.outcome(false)
    }

    /// A break arrives.
    pub fn receive_break(&mut self) -> Outcome {
        self.device.receive_break();
        self.outcome(false)
    }

    /// UARTMIS, as the last entry left it.
    pub fn pending(&self) -> Interrupts {
        self.device.pending()
    }

    /// The line.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The line. What is done to it is noticed at the next
    /// [`backend_event`](Self::backend_event).
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        let traffic = self.backend.traffic();
        Counters {
            bytes_out: traffic.bytes_out,
            bytes_in: traffic.bytes_in,
            doorbells: self.doorbells,
            resyncs: traffic.resyncs,
            dropped: self.device.dropped(),
            overruns: self.device.overruns(),
        }
    }

    /// The outcome of an entry that may have changed the device.
    #[inline]
    fn outcome(&mut self, doorbell: bool) -> Outcome {
        self.note_glance();
        self.noted(doorbell)
    }

    #[inline(never)]
    fn note_glance(&mut self) {
        self.glance = self.device.glance();
    }

    /// The outcome of an entry that has left the glance as it is noted.
    #[inline]
    fn noted(&mut self, doorbell: bool) -> Outcome {
        self.doorbells = self.doorbells.wrapping_add(doorbell.into());
        Outcome {
            value: 0,
            pending: self.device.pending(),
            doorbell,
            stalled: false,
            glance: self.glance,
        }
    }

    /// Sends one character, straight away if none waits before it.
    #[inline]
    fn transmit(&mut self, byte: u8) -> bool {
        if self.device.is_drained() {
            match self.backend.try_send(byte) {
                Sent::Full => {}
                sent => {
                    self.device.sent();
                    return sent == Sent::Ring;
                }
            }
        }
        self.transmit_queued(byte)
    }

    /// Queues a character behind those that wait. The far side is told when
    /// the first has to wait, whatever else it asked for.
    #[cold]
    #[inline(never)]
    fn transmit_queued(&mut self, byte: u8) -> bool {
        let first = self.device.is_drained();
        let mut doorbell = first | self.drain();
        self.device.queue(byte);
        doorbell |= self.drain();
        doorbell
    }

    /// Sends what waits, as far as the line takes it.
    #[cold]
    #[inline(never)]
    fn drain(&mut self) -> bool {
        let mut doorbell = false;
        while let Some(byte) = self.device.queued() {
            match self.backend.try_send(byte) {
                Sent::Full => break,
                sent => doorbell |= sent == Sent::Ring,
            }
            self.device.drained();
        }
        doorbell
    }

    /// Fills the receive FIFO from the line. Each turn stores a character, so
    /// the FIFO's depth bounds them.
    fn refill(&mut self) -> bool {
        let mut doorbell = false;
        loop {
            while self.device.can_receive()
                && let Some(byte) = self.backend.try_recv()
            {
                self.device.receive(byte);
            }
            doorbell |= self.backend.acknowledge();
            if !(self.device.can_receive() && self.backend.has_input()) {
                break;
            }
        }
        self.device.set_waiting(self.backend.has_input());
        doorbell
    }
}
