// SPDX-License-Identifier: MIT
//! The receive side: the FIFO with its error bits, UARTRSR, UARTRXINTR (TRM 2.8.2),
//! UARTRTINTR (TRM 2.8.4) and what the guest has seen of both.

use bitflags::bitflags;

use crate::fifo::Fifo;
use crate::interrupt::Interrupts;

bitflags! {
    /// What went wrong with a character: UARTRSR, and bits 11:8 of UARTDR.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Errors: u8 {
        const FE = 1 << 0;
        const PE = 1 << 1;
        const BE = 1 << 2;
        const OE = 1 << 3;
    }
}

impl Errors {
    /// Their interrupts (TRM 2.8.5).
    fn interrupts(self) -> Interrupts {
        let errors = u16::from(self.bits());
        Interrupts::from_bits_truncate(errors << Interrupts::FE.bits().trailing_zeros())
    }
}

/// One entry of the receive FIFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Character {
    pub(crate) byte: u8,
    pub(crate) errors: Errors,
}

impl Character {
    /// A character that arrived intact.
    pub(crate) const fn good(byte: u8) -> Self {
        Self {
            byte,
            errors: Errors::empty(),
        }
    }

    /// A break, which has no data bits (TRM 2.7.1).
    pub(crate) const BREAK: Self = Self {
        byte: 0,
        errors: Errors::BE,
    };

    /// As UARTDR shows it.
    fn data(self) -> u16 {
        u16::from_le_bytes([self.byte, self.errors.bits()])
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Receiver {
    pub(crate) fifo: Fifo<Character>,
    /// UARTRSR.
    pub(crate) status: Errors,
    /// A character was lost, and none was stored since to carry its OE bit.
    pub(crate) lost: bool,
    /// Of RX and RT, those that the guest has seen since the last change: a
    /// character arrived, at the device or on the line, or one was read.
    pub(crate) shown: Interrupts,
    /// Of RX and RT, those that the guest has cleared since the last change or
    /// write of UARTIMSC.
    pub(crate) cleared: Interrupts,
    /// Bytes on the line, as last read.
    pub(crate) waiting: usize,
    /// Characters lost to a full FIFO.
    pub(crate) overruns: u64,
}

impl Receiver {
    /// A character arrives, for which the FIFO has a place. The error interrupts
    /// that it raises.
    #[inline]
    pub(crate) fn store(&mut self, mut character: Character) -> Interrupts {
        self.news();
        let raised = character.errors.interrupts();
        character.errors.set(Errors::OE, self.lost);
        self.lost = false;
        self.fifo.push(character);
        raised
    }

    /// A character arrives and is lost. What is in the FIFO stays valid (TRM
    /// 2.4.3).
    pub(crate) fn overrun(&mut self) -> Interrupts {
        self.news();
        self.overruns = self.overruns.wrapping_add(1);
        self.lost = true;
        self.status |= Errors::OE;
        Interrupts::OE
    }

    /// The guest reads UARTDR, which shows 0 if there is no character.
    #[inline]
    pub(crate) fn take(&mut self) -> u16 {
        let Some(character) = self.fifo.pop() else {
            return 0;
        };
        // OE is immediate and stays until cleared; the rest belongs to the
        // character read last (TRM 3.3.2).
        self.status = (self.status & Errors::OE) | character.errors;
        self.news();
        character.data()
    }

    /// Sets how many bytes wait on the line. If there are more than before,
    /// characters have arrived.
    #[inline]
    pub(crate) fn set_waiting(&mut self, waiting: usize) {
        if waiting > self.waiting {
            self.news();
        }
        self.waiting = waiting;
    }

    #[inline]
    fn news(&mut self) {
        self.shown = Interrupts::empty();
        self.cleared = Interrupts::empty();
    }

    /// FEN changed: what was received is gone.
    pub(crate) fn flush(&mut self) {
        self.fifo.clear();
        self.news();
    }

    /// While there are characters: UARTRXINTR from the `trigger` level on, and
    /// UARTRTINTR, unless the guest has cleared them.
    ///
    /// RT has no timer: either nothing more is coming, or the FIFO is full and can
    /// receive nothing, so that the 32 bit periods of silence are over. It is 0
    /// while its mask bit is (TRM 3.3.11, footnote a).
    #[inline]
    pub(crate) fn interrupts(&self, trigger: usize, mask: Interrupts) -> Interrupts {
        let mut raised = mask & Interrupts::RT;
        raised.set(Interrupts::RX, self.fifo.len() >= trigger);
        raised - self.cleared
    }

    /// The guest clears `which`, which are all raised. Interrupts that it has not
    /// seen stay, once: a delivered interrupt counts as seen too.
    pub(crate) fn clear(&mut self, which: Interrupts, mask: Interrupts) {
        self.cleared |= which & self.shown;
        self.shown |= which & mask;
    }
}
