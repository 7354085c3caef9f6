// SPDX-License-Identifier: MIT
//! What drivers poll, in one word: enough to answer an access that changes
//! nothing without the device, and so without its lock.
//!
//! Every entry point ends with the [`Glance`] of the state it left. While it is
//! the newest, [`peek`](Glance::peek) answers as the device would.

use crate::access::{Access, Direction};
use crate::interrupt::Interrupts;
use crate::registers::{FR, Flags, Register};

/// The state that polled registers show, or nothing of it.
///
/// | bits | |
/// |---|---|
/// | 15:0 | UARTFR; TXFE is 0 if there is nothing to be seen at a glance |
/// | 31:16 | UARTRIS |
/// | 47:32 | UARTIMSC |
/// | 48 | a read of UARTRIS or UARTMIS is not noted |
/// | 49 | a write of UARTIMSC that changes no bit has no effect |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance(u64);

/// What a glance is made of, beside registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet {
    /// The device does not note that its status was read.
    pub(crate) status: bool,
    /// Writing UARTIMSC as it is does nothing.
    pub(crate) mask: bool,
}

impl Glance {
    const STATUS_QUIET: u64 = 1 << 48;
    const MASK_QUIET: u64 = 1 << 49;

    /// The glance of a state. Characters that wait for the line, and a line
    /// that is high, want the device at every access.
    #[inline]
    pub(crate) fn new(flags: Flags, raw: Interrupts, mask: Interrupts, quiet: Quiet) -> Self {
        if !flags.is_set(FR::TXFE) || raw.intersects(mask) {
            return Self::default();
        }
        let mut word = u64::from(flags.get());
        word |= u64::from(raw.bits()) << 16;
        word |= u64::from(mask.bits()) << 32;
        word |= u64::from(quiet.status) << 48;
        word |= u64::from(quiet.mask) << 49;
        Self(word)
    }

    /// The word, for whoever keeps it.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// A word that [`bits`](Self::bits) gave.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The value that an access reads, or 0 for a write that changes nothing.
    /// `None` if only the device can tell.
    #[inline]
    #[must_use]
    pub fn peek(self, direction: Direction, access: Access, value: u32) -> Option<u32> {
        let flags = Flags::new((self.0 & 0xFFFF) as u16);
        if !flags.is_set(FR::TXFE) {
            return None;
        }
        let read = |value: u16| Some(access.width.truncate(value.into()));
        if Register::is_flags(access.offset) && direction == Direction::Read {
            return read(flags.get());
        }
        let raw = Interrupts::from_bits_retain((self.0 >> 16 & 0xFFFF) as u16);
        let mask = Interrupts::from_bits_retain((self.0 >> 32 & 0xFFFF) as u16);
        match (direction, Register::at(access.offset)?) {
            (Direction::Read, Register::RawInterruptStatus) if self.0 & Self::STATUS_QUIET != 0 => {
                read(raw.bits())
            }
            (Direction::Read, Register::MaskedInterruptStatus)
                if self.0 & Self::STATUS_QUIET != 0 =>
            {
                read((raw & mask).bits())
            }
            (Direction::Write, Register::InterruptMask) => {
                let new = Interrupts::from_bits_truncate(access.width.merge(mask.bits(), value));
                (new == mask && self.0 & Self::MASK_QUIET != 0).then_some(0)
            }
            (Direction::Write, Register::InterruptClear) => {
                let clear = Interrupts::from_bits_truncate(access.width.merge(0, value));
                (!clear.intersects(raw)).then_some(0)
            }
            _ => None,
        }
    }
}
