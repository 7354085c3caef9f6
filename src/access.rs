// SPDX-License-Identifier: MIT
//! An access of the guest to the frame: where, how wide, which way.

/// How many bytes an access covers, as the syndrome's SAS counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Half,
    /// 32 bits.
    Word,
}

impl Width {
    /// `value` reduced to the bits that an access of this width carries.
    #[inline]
    #[must_use]
    pub const fn truncate(self, value: u32) -> u32 {
        match self {
            Self::Byte => value & 0xFF,
            Self::Half => value & 0xFFFF,
            Self::Word => value,
        }
    }

    /// A 16-bit register after a write of this width at its lowest byte.
    #[inline]
    pub(crate) const fn merge(self, old: u16, value: u32) -> u16 {
        let low = (value & 0xFFFF) as u16;
        match self {
            Self::Byte => (old & 0xFF00) | (low & 0x00FF),
            Self::Half | Self::Word => low,
        }
    }
}

/// Which way an access moves data, as the syndrome's write bit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Direction {
    /// The guest loads.
    Read,
    /// The guest stores.
    Write,
}

/// Where in the frame an access lands, and how wide it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Access {
    /// Bytes from the start of the 4 KiB frame.
    pub offset: u16,
    /// Bytes covered.
    pub width: Width,
}

impl Access {
    /// An access of `width` at `offset` bytes into the frame.
    #[must_use]
    pub const fn new(offset: u16, width: Width) -> Self {
        Self { offset, width }
    }

    /// An access of `bytes` bytes; `None` if the device has no access of that
    /// width, or the offset is beyond its frame.
    pub(crate) fn of_bytes(offset: u64, bytes: usize) -> Option<Self> {
        let width = match bytes {
            1 => Width::Byte,
            2 => Width::Half,
            4 => Width::Word,
            _ => return None,
        };
        Some(Self::new(u16::try_from(offset).ok()?, width))
    }
}
