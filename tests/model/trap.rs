// SPDX-License-Identifier: MIT
//! `ESR_EL2` of a data abort, bit by bit (Arm ARM, ISS encoding for an exception
//! from a Data Abort).

use vpl011::Access;
use vpl011::trap::{BadTrap, Direction, Width};

/// EC 0x24, a 32-bit instruction, ISV, and a translation fault at level 3.
const TRAP: u64 = 0x24 << 26 | 1 << 25 | 1 << 24 | 0x07;
const WNR: u64 = 1 << 6;

fn sas(size: u64) -> u64 {
    size << 22
}

#[test]
fn width_and_direction_come_from_the_syndrome() {
    for (size, width) in [(0, Width::Byte), (1, Width::Half), (2, Width::Word)] {
        for (bit, direction) in [(0, Direction::Read), (WNR, Direction::Write)] {
            assert_eq!(
                Access::from_esr(TRAP | sas(size) | bit, 0x2200_0018),
                Ok((direction, Access::new(0x018, width))),
            );
        }
    }
}

/// SSE, SRT, SF and AR have no effect on the device.
#[test]
fn register_fields_do_not_matter() {
    let fields = 1 << 21 | 0x1F << 16 | 1 << 15 | 1 << 14;
    assert_eq!(
        Access::from_esr(TRAP | sas(1) | fields, 0x4),
        Ok((Direction::Read, Access::new(4, Width::Half))),
    );
}

#[test]
fn a_64_bit_access_is_too_wide() {
    assert_eq!(Access::from_esr(TRAP | sas(3), 0), Err(BadTrap::TooWide));
    assert_eq!(
        Access::from_esr(TRAP | sas(3) | WNR, 0x30),
        Err(BadTrap::TooWide)
    );
}

#[test]
fn a_syndrome_without_the_access_is_refused() {
    assert_eq!(
        Access::from_esr(TRAP & !(1 << 24), 0),
        Err(BadTrap::NoSyndrome)
    );
}

#[test]
fn only_data_aborts_from_below_are_accesses() {
    for class in (0..64).filter(|&class| class != 0x24) {
        let esr = TRAP & !(0x3F << 26) | class << 26;
        assert_eq!(
            Access::from_esr(esr, 0),
            Err(BadTrap::NotDataAbort),
            "class {class:#x}"
        );
    }
}

/// For any address, the access is within the frame.
#[test]
fn the_frame_is_4_kib() {
    for (address, offset) in [(0x2200_0FFC, 0xFFC), (0x2200_1000, 0), (u64::MAX, 0xFFF)] {
        let (_, access) = Access::from_esr(TRAP | sas(2), address).unwrap();
        assert_eq!(access.offset, offset);
    }
}

#[test]
fn each_error_has_its_message() {
    assert_eq!(
        BadTrap::TooWide.to_string(),
        "a 64-bit access to a device of 32-bit registers"
    );
}
