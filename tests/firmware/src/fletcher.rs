// SPDX-License-Identifier: MIT
//! Fletcher's checksum of 32 bits, over bytes.

/// The sum so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fletcher {
    low: u32,
    high: u32,
}

impl Fletcher {
    /// Adds a byte.
    pub fn add(&mut self, byte: u8) {
        self.low = (self.low + u32::from(byte)) % 0xFFFF;
        self.high = (self.high + self.low) % 0xFFFF;
    }

    /// The sum of all bytes.
    #[must_use]
    pub fn value(self) -> u32 {
        self.high << 16 | self.low
    }
}
