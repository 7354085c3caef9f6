// SPDX-License-Identifier: MIT
//! The rate of the line that a guest set on its UART, from the hypervisor's copy of
//! its registers (UARTLCR; Arm DDI 0183G 3.3.5 to 3.3.7).

use std::num::NonZeroU32;

use vpl011::ring::layout::LINE_CONTROL;
use vpl011::ring::memory::RingMemory as _;

use super::Link;
use crate::guest::source::Kind;

/// The UART's clock, as in the guest's device tree.
const CLOCK_HZ: u32 = 24_000_000;
/// Divisors count in 64ths, and a bit takes 16 periods of the divided clock.
const PERIODS: u32 = CLOCK_HZ / 16 * 64;
/// 50 baud. No value of the page may stop input.
const SLOWEST: NonZeroU32 = NonZeroU32::new(5).unwrap();

impl Link {
    /// Bytes per second of the guest's line; `None` if it is unknown, or if the
    /// guest itself can write to the ring's page.
    pub(crate) fn line_rate(&self) -> Option<NonZeroU32> {
        if self.source.kind() != Kind::VuartPrivate {
            return None;
        }
        bytes_a_second(self.ring.memory().load_u32(LINE_CONTROL))
    }
}

/// Decodes UARTLCR: the divisor with its six bits of fraction, and above it `LCR_H`.
fn bytes_a_second(lcr: u32) -> Option<NonZeroU32> {
    let (divisor, lcr_h) = (lcr & 0x3F_FFFF, lcr >> 22);
    // A divisor below 1 is invalid, and UARTLCR_H has eight bits.
    if divisor < 64 || lcr_h > 0xFF {
        return None;
    }
    let [pen, stp2, wlen] = [lcr_h >> 1 & 1, lcr_h >> 3 & 1, lcr_h >> 5 & 3];
    let (start, data, stop) = (1, 5 + wlen, 1 + stp2);
    let bits = start + data + pen + stop;
    let rate = NonZeroU32::new(PERIODS / divisor / bits);
    Some(rate.map_or(SLOWEST, |rate| rate.max(SLOWEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rate for these registers.
    fn rate(lcr_h: u32, ibrd: u32, fbrd: u32) -> Option<u32> {
        bytes_a_second(lcr_h << 22 | ibrd << 6 | fbrd).map(NonZeroU32::get)
    }

    #[test]
    fn a_rate_follows_from_divisors_and_format() {
        for (lcr_h, ibrd, fbrd, bytes) in [
            // 8 bits, no parity, one stop bit: 115,200, 9600 and 38,400 baud.
            (0x70, 13, 1, 11_524),
            (0x70, 156, 16, 960),
            (0x70, 39, 4, 3840),
            // A break and the FIFOs change nothing.
            (0x61, 156, 16, 960),
            // 7 bits, even parity, two stop bits.
            (0x5E, 156, 16, 872),
            // 5 bits.
            (0x00, 156, 16, 1371),
            // The highest rate.
            (0x60, 1, 0, 150_000),
            (0x00, 1, 0, 214_285),
        ] {
            assert_eq!(
                rate(lcr_h, ibrd, fbrd),
                Some(bytes),
                "{lcr_h:#x} {ibrd} {fbrd}"
            );
        }
    }

    #[test]
    fn impossible_line_settings_give_no_rate() {
        assert_eq!(bytes_a_second(0), None);
        assert_eq!(bytes_a_second(u32::MAX), None);
        assert_eq!(rate(0x70, 0, 63), None);
        assert_eq!(rate(0x100, 13, 1), None);
    }

    #[test]
    fn no_rate_is_so_low_that_input_stops() {
        assert_eq!(rate(0xFF, 0xFFFF, 0x3F), Some(5));
        for word in (0..u32::MAX).step_by(9973) {
            let rate = bytes_a_second(word).map(NonZeroU32::get);
            assert!(
                rate.is_none_or(|rate| (5..=214_285).contains(&rate)),
                "{word:#x}"
            );
        }
    }
}
