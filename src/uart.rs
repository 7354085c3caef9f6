// SPDX-License-Identifier: MIT
//! The device on its line: the entry points.

use crate::access::Access;
use crate::backend::Backend;
use crate::device::Pl011;
use crate::interrupt::Interrupts;
use crate::outcome::Outcome;
use crate::receiver::Character;
use crate::registers::{Profile, Register};

/// Counters since the device was made, modulo 2^64. The backend counts bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Doorbells asked for.
    pub doorbells: u64,
    /// Bytes the guest wrote in spite of TXFF, with all storage full.
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
}

impl<B: Backend> Uart<B> {
    /// A PL011 after reset on a line.
    pub fn new(backend: B) -> Self {
        Self::with_profile(Profile::Pl011, backend)
    }

    /// A UART of this profile after reset on a line.
    pub fn with_profile(profile: Profile, backend: B) -> Self {
        Self {
            device: Pl011::new(profile),
            backend,
            doorbells: 0,
        }
    }

    /// The guest reads. What names no register reads as 0.
    #[inline]
    pub fn read(&mut self, access: Access) -> Outcome {
        let register = self.device.profile.register(access.offset);
        let mut outcome = register.map_or_else(Outcome::default, |register| {
            self.device.read(register, &mut self.backend)
        });
        outcome.value = access.width.truncate(outcome.value);
        self.finish(outcome)
    }

    /// The most frequent case of [`write`](Self::write): a character that goes
    /// directly to the line. `None` for all others; then nothing has changed.
    #[inline]
    pub fn send(&mut self, access: Access, value: u32) -> Option<Outcome> {
        if access.offset != Register::DR {
            return None;
        }
        let byte = (value & 0xFF) as u8;
        let doorbell = self.device.send(byte, &mut self.backend)?;
        self.doorbells = self.doorbells.wrapping_add(doorbell.into());
        Some(Outcome {
            pending: self.device.pending(),
            doorbell,
            ..Outcome::default()
        })
    }

    /// The guest writes. What names no register ignores it.
    #[inline]
    pub fn write(&mut self, access: Access, value: u32) -> Outcome {
        let register = self.device.profile.register(access.offset);
        let doorbell = register.is_some_and(|register| {
            let line = &mut self.backend;
            self.device.write(register, value, access.width, line)
        });
        self.rest(doorbell)
    }

    /// The guest reads `data.len()` bytes at `offset` into the frame, in the form
    /// that VMMs use. An access that the device does not support reads as 0.
    pub fn read_bytes(&mut self, offset: u64, data: &mut [u8]) -> Outcome {
        let outcome = match Access::of_bytes(offset, data.len()) {
            Some(access) => self.read(access),
            None => self.rest(false),
        };
        for (at, byte) in data.iter_mut().enumerate() {
            *byte = outcome.value.to_le_bytes().get(at).copied().unwrap_or(0);
        }
        outcome
    }

    /// The guest writes `data` at `offset` into the frame, in the form that VMMs
    /// use. An access that the device does not support is ignored.
    pub fn write_bytes(&mut self, offset: u64, data: &[u8]) -> Outcome {
        let Some(access) = Access::of_bytes(offset, data.len()) else {
            return self.rest(false);
        };
        let mut value = [0; 4];
        value[..data.len()].copy_from_slice(data);
        let value = u32::from_le_bytes(value);
        self.send(access, value)
            .unwrap_or_else(|| self.write(access, value))
    }

    /// The backend signalled: it took output, gave input or both.
    pub fn backend_event(&mut self) -> Outcome {
        let doorbell = self.device.attend(&mut self.backend);
        self.rest(doorbell)
    }

    /// A character arrives beside the backend, as from a console that has no
    /// ring; it overruns a full FIFO.
    pub fn receive(&mut self, byte: u8) -> Outcome {
        self.device.receive(Character::good(byte));
        self.rest(false)
    }

    /// A break arrives: one zero character with BE set.
    pub fn receive_break(&mut self) -> Outcome {
        self.device.receive(Character::BREAK);
        self.rest(false)
    }

    /// UARTMIS, as the last entry left it.
    pub fn pending(&self) -> Interrupts {
        self.device.pending()
    }

    /// The line.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The line. Changes of it take effect at the next
    /// [`backend_event`](Self::backend_event).
    pub fn backend_mut(&mut self) -> &mut B {
        &mut self.backend
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        Counters {
            doorbells: self.doorbells,
            dropped: self.device.transmitter.dropped,
            overruns: self.device.receiver.overruns,
        }
    }

    /// The outcome of an entry that read nothing.
    #[inline]
    fn rest(&mut self, doorbell: bool) -> Outcome {
        self.finish(Outcome {
            doorbell,
            ..Outcome::default()
        })
    }

    /// What every entry ends with.
    #[inline]
    fn finish(&mut self, mut outcome: Outcome) -> Outcome {
        self.doorbells = self.doorbells.wrapping_add(outcome.doorbell.into());
        (outcome.pending, outcome.glance) = self.device.rest();
        outcome
    }
}
