// SPDX-License-Identifier: MIT
//! The receive side: the FIFO with its error bits, UARTRSR, UARTRXINTR
//! (TRM 2.8.2), UARTRTINTR (TRM 2.8.4) and the error interrupts (TRM 2.8.5).

use bitflags::bitflags;

use crate::fifo::Fifo;
use crate::interrupt::{InterruptRegisters, Interrupts};

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

/// One entry of the receive FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// A break: one zero character, flagged.
    pub(crate) const BREAK: Self = Self {
        byte: 0,
        errors: Errors::BE,
    };

    /// As UARTDR shows it.
    fn data(self) -> u16 {
        u16::from_le_bytes([self.byte, self.errors.bits()])
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) fifo: Fifo<Character>,
    /// Level at or above which RXRIS may be 1.
    pub(crate) trigger: u8,
    /// UARTRSR.
    pub(crate) status: Errors,
    /// A character was lost, and none was stored since to carry its OE bit.
    pub(crate) overrun: bool,
    /// The receive timeout may be raised; a clear disarms it.
    pub(crate) timeout_armed: bool,
    /// The line holds more than the FIFO has room for.
    pub(crate) waiting: bool,
    /// Characters lost to a full FIFO.
    pub(crate) overruns: u64,
}

impl Receiver {
    pub(crate) const fn new() -> Self {
        Self {
            fifo: Fifo::new(),
            trigger: 1,
            status: Errors::empty(),
            overrun: false,
            timeout_armed: false,
            waiting: false,
            overruns: 0,
        }
    }

    pub(crate) fn at_trigger(&self) -> bool {
        self.fifo.len() >= usize::from(self.trigger)
    }

    /// A character arrives.
    pub(crate) fn store(&mut self, mut character: Character, interrupts: &mut InterruptRegisters) {
        self.timeout_armed = true;
        if self.fifo.is_full() {
            // What is in the FIFO stays valid (TRM 2.4.3).
            self.overruns = self.overruns.wrapping_add(1);
            self.overrun = true;
            self.status |= Errors::OE;
            interrupts.raise(Interrupts::OE);
        } else {
            character.errors.set(Errors::OE, self.overrun);
            self.overrun = false;
            interrupts.raise(character.errors.interrupts());
            self.fifo.push(character);
        }
        if self.at_trigger() {
            interrupts.raise(Interrupts::RX);
        }
    }

    /// The guest reads UARTDR. An empty FIFO reads as 0.
    pub(crate) fn take(&mut self, interrupts: &mut InterruptRegisters) -> u16 {
        let Some(character) = self.fifo.pop() else {
            return 0;
        };
        // OE is immediate and stays until cleared; the rest belongs to the
        // character read last (TRM 3.3.2).
        self.status = (self.status & Errors::OE) | character.errors;
        if !self.at_trigger() {
            interrupts.lower(Interrupts::RX);
        }
        self.timeout_armed = true;
        character.data()
    }

    /// The line holds more than there is room for, and goes on pushing: the
    /// same as a character arriving, but that this line waits.
    pub(crate) fn push(&mut self, interrupts: &mut InterruptRegisters) {
        if self.waiting {
            self.timeout_armed = true;
            interrupts.raise(Interrupts::RX);
        }
    }

    /// FEN changed: what was received is gone.
    pub(crate) fn set_enabled(&mut self, enabled: bool, interrupts: &mut InterruptRegisters) {
        self.fifo.clear();
        self.fifo.set_enabled(enabled);
        interrupts.lower(Interrupts::RX);
    }

    /// FEN or IFLS changed.
    pub(crate) fn set_trigger(&mut self, trigger: u8, interrupts: &mut InterruptRegisters) {
        let was_at_trigger = self.at_trigger();
        self.trigger = trigger;
        if self.at_trigger() != was_at_trigger {
            interrupts.follow(Interrupts::RX, !was_at_trigger);
        }
    }

    /// Brings RTRIS in line with its condition. No time passes here: the 32
    /// bit periods are over as soon as nothing more is coming. It cannot be
    /// set while its mask bit is 0 (TRM 3.3.11, footnote a).
    pub(crate) fn settle_timeout(&self, interrupts: &mut InterruptRegisters) {
        let silent = !self.at_trigger() || !self.waiting;
        let enabled = interrupts.mask.contains(Interrupts::RT);
        let raised = enabled && self.timeout_armed && silent && !self.fifo.is_empty();
        interrupts.follow(Interrupts::RT, raised);
    }
}

impl Errors {
    /// The error interrupts of a character stored with these; an overrun has
    /// raised its own when it happened.
    fn interrupts(self) -> Interrupts {
        let errors = u16::from((self - Self::OE).bits());
        Interrupts::from_bits_truncate(errors << Interrupts::FE.bits().trailing_zeros())
    }
}
