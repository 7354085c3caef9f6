// SPDX-License-Identifier: MIT
//! The interrupt registers: UARTRIS, UARTIMSC, UARTMIS (TRM 3.3.10 to 3.3.13).
//!
//! Conditions raise and lower raw bits; the mask only decides what reaches the
//! line, and the line is a level: high while any unmasked raw bit is set.

use bitflags::bitflags;

bitflags! {
    /// A set of interrupts, in the bit order that RIS, MIS, IMSC and ICR share.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Interrupts: u16 {
        /// nUARTRI changed (TRM 2.8.1).
        const RI = 1 << 0;
        /// nUARTCTS changed (TRM 2.8.1).
        const CTS = 1 << 1;
        /// nUARTDCD changed (TRM 2.8.1).
        const DCD = 1 << 2;
        /// nUARTDSR changed (TRM 2.8.1).
        const DSR = 1 << 3;
        /// The receive FIFO reached its trigger level (TRM 2.8.2).
        const RX = 1 << 4;
        /// The transmit FIFO fell to its trigger level (TRM 2.8.3).
        const TX = 1 << 5;
        /// Received characters have been waiting (TRM 2.8.4).
        const RT = 1 << 6;
        /// Framing error (TRM 2.8.5).
        const FE = 1 << 7;
        /// Parity error (TRM 2.8.5).
        const PE = 1 << 8;
        /// Break received (TRM 2.8.5).
        const BE = 1 << 9;
        /// Receive overrun (TRM 2.8.5).
        const OE = 1 << 10;
    }
}

/// Raw status and mask; MIS is their intersection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InterruptRegisters {
    pub(crate) raw: Interrupts,
    pub(crate) mask: Interrupts,
}

impl InterruptRegisters {
    /// UARTMIS.
    #[inline]
    pub(crate) fn masked(&self) -> Interrupts {
        self.raw & self.mask
    }

    #[inline]
    pub(crate) fn raise(&mut self, which: Interrupts) {
        self.raw |= which;
    }

    pub(crate) fn lower(&mut self, which: Interrupts) {
        self.raw &= !which;
    }

    /// Raises or lowers `which` as `condition` holds.
    pub(crate) fn follow(&mut self, which: Interrupts, condition: bool) {
        self.raw.set(which, condition);
    }
}
