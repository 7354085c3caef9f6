// SPDX-License-Identifier: MIT
//! The transmit side: what waits for room on the line, and UARTTXINTR
//! (TRM 2.8.3).
//!
//! A character leaves at once while the line takes it; only then the FIFO
//! comes in. To drivers that means: the FIFO is empty, as if the line were
//! infinitely fast, until the far side stops taking. But once in a FIFO's depth
//! of characters one look at UARTFR shows it full, as on a wire, so that a driver
//! that has interrupts leaves its loop of looks and writes for them.

use crate::fifo::{DEPTH, Fifo};
use crate::interrupt::{InterruptRegisters, Interrupts};

/// Characters between two looks that show a full FIFO: as many as one holds.
pub(crate) const BURST: u8 = 32;
const _: () = assert!(BURST as usize == DEPTH, "a FIFO's depth");

#[derive(Clone, Debug)]
pub(crate) struct Transmitter {
    pub(crate) fifo: Fifo<u8>,
    /// Level at or below which TXRIS may be 1.
    pub(crate) trigger: u8,
    /// A character was written, and the guest has neither read TXRIS as 1 nor
    /// cleared it since.
    pub(crate) unseen: bool,
    /// The guest was shown that a full receiver holds what it loops back, and
    /// has read nothing since.
    pub(crate) held_shown: bool,
    /// Characters that may still go straight to the line before a look at
    /// UARTFR shows a full FIFO; at most [`BURST`].
    pub(crate) burst: u8,
    /// Characters written while even the FIFO's storage was full.
    pub(crate) dropped: u64,
}

impl Transmitter {
    pub(crate) const fn new() -> Self {
        Self {
            fifo: Fifo::new(),
            trigger: 0,
            unseen: false,
            held_shown: false,
            burst: BURST,
            dropped: 0,
        }
    }

    pub(crate) fn at_trigger(&self) -> bool {
        self.fifo.len() <= usize::from(self.trigger)
    }

    /// A character went straight to the line, none waiting before it. Whether
    /// that is news: nothing was, if one went before and nobody looked since,
    /// unless it was the last of a burst.
    #[inline]
    pub(crate) fn sent(&mut self, interrupts: &mut InterruptRegisters) -> bool {
        let last = self.burst == 1;
        self.burst = self.burst.saturating_sub(1);
        let news = last || !(self.unseen && interrupts.raw.contains(Interrupts::TX));
        self.unseen = true;
        interrupts.raise(Interrupts::TX);
        news
    }

    /// Whether the next look at UARTFR shows a full FIFO. A single holding
    /// register never is: a driver without FIFOs waits for each character.
    #[inline]
    pub(crate) fn shows_burst(&self) -> bool {
        self.burst == 0 && self.fifo.depth() == DEPTH && self.fifo.is_empty()
    }

    /// The look that shows a full FIFO. What it shows has drained by the next
    /// access: that raises the interrupt, after a clear too.
    pub(crate) fn burst_shown(&mut self, interrupts: &mut InterruptRegisters) {
        self.burst = BURST;
        self.unseen = true;
        interrupts.raise(Interrupts::TX);
    }

    /// A character went round to the receiver, past any that wait.
    pub(crate) fn looped(&mut self, interrupts: &mut InterruptRegisters) {
        self.unseen = true;
        interrupts.follow(Interrupts::TX, self.at_trigger());
    }

    /// A character that the line did not take.
    pub(crate) fn queue(&mut self, byte: u8, interrupts: &mut InterruptRegisters) {
        if !self.fifo.push(byte) {
            self.dropped = self.dropped.wrapping_add(1);
        }
        self.unseen = true;
        interrupts.follow(Interrupts::TX, self.at_trigger());
    }

    /// The line took the oldest queued character.
    pub(crate) fn drained(&mut self, interrupts: &mut InterruptRegisters) {
        self.fifo.pop();
        if self.at_trigger() {
            interrupts.raise(Interrupts::TX);
        }
    }

    /// FEN or IFLS changed. A level now above the trigger lowers the
    /// interrupt; one now below it raises nothing, as nothing drained.
    pub(crate) fn set_trigger(&mut self, trigger: u8, interrupts: &mut InterruptRegisters) {
        self.trigger = trigger;
        if !self.at_trigger() {
            interrupts.lower(Interrupts::TX);
        }
    }

    /// The guest read RIS or MIS and got `status`.
    pub(crate) fn seen(&mut self, status: Interrupts) {
        self.unseen &= !status.contains(Interrupts::TX);
    }

    /// The guest cleared UARTTXINTR. On hardware the characters written just
    /// before are still on their way out and raise it again when they are
    /// gone; RTEMS clears after writing and waits for that.
    pub(crate) fn clear(&mut self, interrupts: &mut InterruptRegisters) {
        interrupts.follow(Interrupts::TX, self.unseen && self.at_trigger());
        self.unseen = false;
    }
}
