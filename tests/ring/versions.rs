// SPDX-License-Identifier: MIT
//! Snapshots of every version are read.

use vpl011::Uart;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::port::RingPort;
use vpl011::snapshot::Invalid;

use crate::{attach, read, receive, send, write};

const CR: u16 = 0x030;
const IMSC: u16 = 0x038;
const RIS: u16 = 0x03C;

/// The bytes of a text of hexadecimal numbers.
fn bytes_of(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let numbers = lines.flat_map(str::split_whitespace);
    numbers
        .map(|number| u8::from_str_radix(number, 16).expect("a byte"))
        .collect()
}

const VECTORS: [&str; 3] = [
    include_str!("snapshots/1.txt"),
    include_str!("snapshots/2.txt"),
    include_str!("snapshots/3.txt"),
];

/// The layout is a wire format: every version must be readable for ever.
#[test]
fn the_layout_is_pinned() {
    let page = AtomicPage::new();
    let (mut guest, _) = attach(&page);
    let _ = write(&mut guest, CR, 0xC301);
    let _ = write(&mut guest, IMSC, 0x070);
    send(&mut guest, b"x");
    assert_eq!(guest.save().0.to_vec(), bytes_of(VECTORS[2]));
}

/// Each version's snapshot restores the same device.
#[test]
fn every_version_is_read() {
    for (version, text) in (1..).zip(VECTORS) {
        let page = AtomicPage::new();
        let bytes = bytes_of(text);
        assert_eq!(bytes[6], version);
        let mut guest = Uart::restore(&page, &bytes).unwrap();
        assert_eq!(guest.save().0.to_vec(), bytes_of(VECTORS[2]));
        assert_eq!(read(&mut guest, CR).value, 0xC301, "{version}");
        assert_eq!(read(&mut guest, RIS).value, 0x20, "{version}");
        assert_eq!(page.load_u32(3084), 1, "{version}");
    }
    for version in [0, 4, 0x0100] {
        let mut bytes = bytes_of(VECTORS[2]);
        bytes[6..8].copy_from_slice(&u16::to_le_bytes(version));
        let refused = Uart::<RingPort<_>>::restore(AtomicPage::new(), &bytes).err();
        assert_eq!(refused, Some(Invalid::Version(version)));
    }
}

/// In an older version's snapshot, interrupts that are low although their condition
/// holds were cleared.
#[test]
fn what_an_older_version_cleared_stays_low() {
    // Three characters of 32, RTIM; the receive timeout armed or not.
    for (armed, status) in [(true, 0x40), (false, 0)] {
        let mut bytes = bytes_of(VECTORS[1]);
        bytes[22] = status;
        bytes[27] = u8::from(armed) << 2;
        bytes[61] = 3;
        bytes[62..68].copy_from_slice(b"a\0b\0c\0");
        let page = AtomicPage::new();
        let mut guest = Uart::restore(&page, &bytes).unwrap();
        assert_eq!(u32::from(guest.pending().bits()), u32::from(status));
        assert_eq!(receive(&mut guest).0, b"abc");
        bytes[22] = 0x50;
        let refused = Uart::<RingPort<_>>::restore(&page, &bytes).err();
        assert_eq!(refused, Some(Invalid::Field("UARTRIS")), "below its level");
    }
}
