// SPDX-License-Identifier: MIT
//! The transmit side: characters that wait for room on the line, and those in
//! flight.
//!
//! The line takes a character at once while it has room; the FIFO is used only when
//! it has none. But drivers rely on the time that characters take: Linux leaves its
//! loop of looks at UARTFR for interrupts when the FIFO is full, RTEMS clears
//! UARTTXINTR after it has written and waits for it. So written characters are in
//! flight until time passes, which it does when the guest
//!
//! - reads a RIS or MIS that shows TX: the interrupt says that they are gone;
//! - clears TX: they go after the clear, and raise it again;
//! - looks at UARTFR twice with nothing written in between: the first look
//!   shows them, the second shows them gone.
//!
//! After a read that showed them in flight the driver expects the interrupt: until
//! TX is unmasked, clearing it does not let that time pass.

use crate::fifo::{DEPTH, Fifo};

#[derive(Clone, Debug, Default)]
pub(crate) struct Transmitter {
    pub(crate) fifo: Fifo<u8>,
    /// Characters written for which no time has passed; at most [`DEPTH`].
    pub(crate) in_flight: u8,
    /// A look at UARTFR has shown them.
    pub(crate) looked: bool,
    /// The newest access to UARTFR or UARTDR was a look that showed characters
    /// in the FIFO.
    pub(crate) polled: bool,
    /// Characters written while even the FIFO's storage was full.
    pub(crate) dropped: u64,
}

impl Transmitter {
    /// Nothing waits, and nothing is in flight.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.fifo.is_empty() && self.in_flight == 0
    }

    /// The guest wrote a character.
    #[inline]
    pub(crate) fn written(&mut self) {
        self.in_flight += u8::from(usize::from(self.in_flight) < DEPTH);
        self.looked = false;
        self.polled = false;
    }

    #[inline]
    pub(crate) fn pass_time(&mut self) {
        self.in_flight = 0;
        self.looked = false;
    }
}
