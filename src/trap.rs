// SPDX-License-Identifier: MIT
//! Decodes the syndrome of a trapped guest access.
//!
//! The syndrome is `ESR_EL2` of a data abort from a lower exception level (Arm
//! ARM D24.2.40, "ISS encoding for an exception from a Data Abort"). Fetching
//! and sign-extending the guest's register is the caller's, who owns it.

use core::fmt;

use aarch64_cpu::registers::ESR_EL2;
use tock_registers::{LocalRegisterCopy, register_bitfields};

pub use crate::access::{Access, Direction, Width};

register_bitfields! { u64,
    ISS [
        WNR OFFSET(6) NUMBITS(1) [],
        SAS OFFSET(22) NUMBITS(2) [],
        ISV OFFSET(24) NUMBITS(1) []
    ]
}

/// What the syndrome's SAS counts.
const WIDTHS: [Width; 3] = [Width::Byte, Width::Half, Width::Word];

/// Why a trap is not an access that the device can serve. The guest gets a
/// data abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadTrap {
    /// The exception is not a data abort from a lower exception level.
    NotDataAbort,
    /// The syndrome does not describe the access (ISV is 0), as for pairs,
    /// write-back forms and cache maintenance.
    NoSyndrome,
    /// A 64-bit access; the device has none.
    TooWide,
}

impl fmt::Display for BadTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDataAbort => "not a data abort from a lower exception level",
            Self::NoSyndrome => "the syndrome does not describe the access",
            Self::TooWide => "a 64-bit access to a device of 32-bit registers",
        })
    }
}

impl core::error::Error for BadTrap {}

impl Access {
    /// Decodes `ESR_EL2` and the faulting address, of which the frame's 12
    /// bits count.
    #[inline]
    pub fn from_esr(esr: u64, address: u64) -> Result<(Direction, Self), BadTrap> {
        let syndrome = LocalRegisterCopy::<u64, ESR_EL2::Register>::new(esr);
        if !syndrome.matches_all(ESR_EL2::EC::DataAbortLowerEL) {
            return Err(BadTrap::NotDataAbort);
        }
        let iss = LocalRegisterCopy::<u64, ISS::Register>::new(syndrome.read(ESR_EL2::ISS));
        if !iss.is_set(ISS::ISV) {
            return Err(BadTrap::NoSyndrome);
        }
        Self::from_iss(esr, address)
    }

    /// The same of a data abort whose class and ISV the caller has looked at.
    #[inline]
    pub fn from_iss(esr: u64, address: u64) -> Result<(Direction, Self), BadTrap> {
        let iss = LocalRegisterCopy::<u64, ISS::Register>::new(esr);
        let size = (iss.read(ISS::SAS) & 3) as usize;
        let width = *WIDTHS.get(size).ok_or(BadTrap::TooWide)?;
        let direction = if iss.is_set(ISS::WNR) {
            Direction::Write
        } else {
            Direction::Read
        };
        Ok((direction, Self::new((address & 0xFFF) as u16, width)))
    }
}
