// SPDX-License-Identifier: MIT
//! The bits of UARTRIS, UARTIMSC, UARTMIS and UARTICR (TRM 3.3.10 to 3.3.13).
//!
//! The line is a level: high while any unmasked raw bit is set.

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

impl Interrupts {
    /// The two that report received characters.
    pub(crate) const INPUT: Self = Self::RX.union(Self::RT);
}
