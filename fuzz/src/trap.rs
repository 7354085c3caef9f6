// SPDX-License-Identifier: MIT
//! Any syndrome, decoded as the Arm ARM defines it (`ESR_EL2`, and the ISS of a data
//! abort), on any glance, whether or not it can answer.

use std::sync::atomic::AtomicU64;

use hyp_shim::abi::VPL011_POLLED;
use hyp_shim::entry::vpl011_peek;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::port::RingPort;
use vpl011::trap::{BadTrap, Direction, Width};
use vpl011::{Access, Uart};

use crate::all;

/// `ESR_EL2`.EC of a data abort from a lower exception level.
const DATA_ABORT_LOWER: u64 = 0x24;

/// The meaning of the syndrome, by its bits alone.
fn expected(esr: u64, address: u64) -> Result<(Direction, Access), BadTrap> {
    if esr >> 26 & 0x3f != DATA_ABORT_LOWER {
        return Err(BadTrap::NotDataAbort);
    }
    if esr >> 24 & 1 == 0 {
        return Err(BadTrap::NoSyndrome);
    }
    let width = match esr >> 22 & 3 {
        0 => Width::Byte,
        1 => Width::Half,
        2 => Width::Word,
        _ => return Err(BadTrap::TooWide),
    };
    let direction = if esr >> 6 & 1 == 0 {
        Direction::Read
    } else {
        Direction::Write
    };
    let offset = u16::try_from(address % 4096).expect("below 4096");
    Ok((direction, Access::new(offset, width)))
}

/// Any traps, one after the other, on one device.
pub fn run(data: &[u8]) {
    let page = AtomicPage::new();
    let mut uart = Uart::new(RingPort::new(&page));
    for (esr, address, value, glance, near) in all::<(u64, u64, u64, u64, bool)>(data) {
        // Most syndromes are not of a data abort; half of these are.
        let esr = if near {
            esr & !(0x3f << 26) | DATA_ABORT_LOWER << 26
        } else {
            esr
        };
        let decoded = Access::from_esr(esr, address);
        assert_eq!(decoded, expected(esr, address));
        let glance = AtomicU64::new(glance);
        let (direction, access) = match decoded {
            Ok(access) => access,
            Err(why) => {
                if why == BadTrap::TooWide {
                    let peeked = vpl011_peek(&glance, esr, address % 4096, value);
                    assert_eq!(peeked, u64::MAX, "no access, and an answer");
                }
                continue;
            }
        };
        let peeked = vpl011_peek(&glance, esr, address % 4096, value);
        if peeked != u64::MAX {
            let widest = VPL011_POLLED | u64::from(access.width.truncate(u32::MAX));
            assert_eq!(peeked & !widest, 0, "{peeked:#x} of {:?}", access.width);
        }
        let low = u32::try_from(value & 0xffff_ffff).expect("32 bits");
        let outcome = match direction {
            Direction::Read => uart.read(access),
            Direction::Write => uart.write(access, low),
        };
        assert_eq!(outcome.value, access.width.truncate(outcome.value));
        assert_eq!(outcome.pending, uart.pending());
    }
}
