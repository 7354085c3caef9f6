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
/// | 63:56 | looks at UARTFR that found nothing to read |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance(u64);

impl Glance {
    const SHOWN: u64 = 1 << 48;
    const UNMASKED: u64 = 1 << 49;
    const LOOK: u64 = 1 << 56;

    /// From registers, and from whether a read of the status changes the device
    /// (not if `shown`) and whether a write of the unchanged mask does (not if
    /// `unmasked`).
    #[inline]
    pub(crate) fn new(
        flags: Flags,
        raw: Interrupts,
        mask: Interrupts,
        shown: bool,
        unmasked: bool,
    ) -> Self {
        let mut word = u64::from(flags.get());
        word |= u64::from(raw.bits()) << 16;
        word |= u64::from(mask.bits()) << 32;
        word |= u64::from(shown) << 48;
        Self(word | u64::from(unmasked) << 49)
    }

    /// The word, to store it.
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
    /// `None` if the device is needed.
    #[inline]
    #[must_use]
    pub fn peek(self, direction: Direction, access: Access, value: u32) -> Option<u32> {
        let flags = Flags::new((self.0 & 0xFFFF) as u16);
        if !flags.is_set(FR::TXFE) {
            return None;
        }
        let raw = Interrupts::from_bits_retain((self.0 >> 16 & 0xFFFF) as u16);
        let mask = Interrupts::from_bits_retain((self.0 >> 32 & 0xFFFF) as u16);
        let written = |old| Interrupts::from_bits_truncate(access.width.merge(old, value));
        let known = |bit| self.0 & bit != 0;
        let value = match (direction, access.offset) {
            (Direction::Read, Register::FR) => flags.get(),
            (Direction::Read, Register::RIS) if known(Self::SHOWN) => raw.bits(),
            (Direction::Read, Register::MIS) if known(Self::SHOWN) => (raw & mask).bits(),
            (Direction::Write, Register::IMSC) if known(Self::UNMASKED) => {
                return (written(mask.bits()) == mask).then_some(0);
            }
            (Direction::Write, Register::ICR) => return (!written(0).intersects(raw)).then_some(0),
            _ => return None,
        };
        Some(access.width.truncate(value.into()))
    }

    /// A read of UARTFR while there is no input: the value read, and the glance
    /// with one more such read counted. `None` for other accesses.
    #[inline]
    #[must_use]
    pub fn poll(self, direction: Direction, access: Access) -> Option<(u32, Self)> {
        let flags = Flags::new((self.0 & 0xFFFF) as u16);
        let polls = access.offset == Register::FR && direction == Direction::Read;
        if !polls || !flags.matches_all(FR::TXFE::SET + FR::RXFE::SET) {
            return None;
        }
        let value = access.width.truncate(flags.get().into());
        Some((value, Self(self.0.wrapping_add(Self::LOOK))))
    }

    /// For a glance from [`poll`](Self::poll): the guest has read UARTFR 256 times
    /// in a row without input, and done nothing else. The caller should block or
    /// yield its CPU.
    #[must_use]
    pub const fn stalled(self) -> bool {
        self.0 < Self::LOOK
    }
}
