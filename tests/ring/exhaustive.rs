// SPDX-License-Identifier: MIT
//! Index arithmetic and the loading of snapshots, exhaustively instead of randomly:
//! every fill of both buffers, with indices around the ends of their range, and
//! every value of every byte.

use vpl011::Profile;
use vpl011::Uart;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::index::{filled, passed};
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::snapshot::SIZE;

use crate::{DR, FR, Guest, RXFE, attach_to, pattern, read, receive, send, take, write};

const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const OUT_SIZE: u32 = 2048;
const IN_SIZE: u32 = 1024;

/// Index values near the ends of the index range and of the buffers.
const BASES: [u32; 6] = [
    0,
    1,
    OUT_SIZE - 7,
    0x8000_0000 - 5,
    u32::MAX - 1024,
    u32::MAX,
];

/// Distances that valid indices cannot have.
fn lies(size: u32) -> impl Iterator<Item = u32> {
    let around = |place: u32| (0..5).map(move |by| place.wrapping_sub(2).wrapping_add(by));
    (size + 1..size + 70)
        .chain(around(2 * size))
        .chain(around(0x8000_0000))
        .chain(around(u32::MAX - 2))
}

/// An index modulo 2^32, from a number that does not wrap.
fn wrapped(index: i64) -> u32 {
    u32::try_from(index.rem_euclid(1 << 32)).expect("below 2^32")
}

/// All pairs of indices within 40 of the ends of their range, for small rings.
#[test]
fn filled_is_the_distance_of_valid_indices() {
    for centre in [0, 1 << 31] {
        for size in [1_i64, 2, 4, 8, 16] {
            for cons in centre - 40..centre + 40 {
                for prod in centre - 40..centre + 40 {
                    let bytes = prod - cons;
                    let expected = (0..=size)
                        .contains(&bytes)
                        .then(|| usize::try_from(bytes).expect("not negative"));
                    let size = usize::try_from(size).expect("small");
                    assert_eq!(filled(wrapped(prod), wrapped(cons), size), expected);
                }
            }
        }
    }
}

/// All thresholds and moves within 30 of the ends of the index range.
#[test]
fn a_threshold_is_passed_by_the_move_that_leaves_it_behind() {
    for centre in [0, 1 << 31] {
        for old in centre - 30..centre + 30 {
            for new in old..centre + 30 {
                for event in centre - 30..centre + 30 {
                    assert_eq!(
                        passed(wrapped(event), wrapped(old), wrapped(new)),
                        (old..new).contains(&event),
                        "{event} of {old}..{new}"
                    );
                }
            }
        }
    }
}

/// A page whose buffers hold so many bytes, and a device with the same indices;
/// each waiting byte's value depends on its offset.
fn at(page: &AtomicPage, base: u32, out: u32, input: u32) -> Guest<'_> {
    let indices = [base.wrapping_add(out), base, base, base.wrapping_add(input)];
    for (offset, index) in [OUT_PROD, OUT_CONS, IN_CONS, IN_PROD]
        .into_iter()
        .zip(indices)
    {
        page.store_u32(offset, index);
    }
    for offset in 0..3072 {
        page.store_u8(offset, place(offset));
    }
    let mut snapshot = Uart::new(RingPort::new(&AtomicPage::new())).save().0;
    // FIFOs, and the indices (the snapshot tests pin the layout).
    snapshot[14] = 0x10;
    for (index, at) in indices.into_iter().zip((150..).step_by(4)) {
        snapshot[at..at + 4].copy_from_slice(&index.to_le_bytes());
    }
    Uart::restore(page, &snapshot).expect("indices that can be")
}

fn place(offset: usize) -> u8 {
    (offset * 7 + offset / 256).to_le_bytes()[0]
}

/// The bytes waiting from `base` on in the buffer at `start`.
fn waiting(start: usize, size: u32, base: u32, bytes: u32) -> Vec<u8> {
    (0..bytes)
        .map(|by| place(start + (base.wrapping_add(by) % size) as usize))
        .collect()
}

#[test]
fn each_fill_of_out_takes_one_byte_more_or_none() {
    for base in BASES {
        for bytes in 0..=OUT_SIZE {
            let page = AtomicPage::new();
            let mut guest = at(&page, base, bytes, 0);
            let outcome = write(&mut guest, DR, u32::from(b'!'));
            let full = bytes == OUT_SIZE;
            // It rings for the first byte, and for the first that has to wait.
            assert_eq!(outcome.doorbell, bytes == 0 || full, "{base} + {bytes}");
            let held = waiting(1024, OUT_SIZE, base, bytes);
            let mut peer = RingPeer::new(&page);
            assert_eq!(peer.resyncs(), 0);
            let (mut got, notify) = take(&mut peer);
            assert!(notify);
            let _ = guest.backend_event();
            got.extend(take(&mut peer).0);
            assert_eq!(got, [&held[..], b"!"].concat(), "{base} + {bytes}");
            assert_eq!(guest.backend().traffic().resyncs, 0);
        }
    }
}

#[test]
fn each_fill_of_in_arrives_and_leaves_its_room() {
    for base in BASES {
        for bytes in 0..=IN_SIZE {
            let page = AtomicPage::new();
            let mut guest = at(&page, base, 0, bytes);
            let mut peer = RingPeer::new(&page);
            let room = IN_SIZE - bytes;
            assert_eq!(peer.in_space(), room as usize);
            assert_eq!(peer.put_in(b"!").bytes, usize::from(room > 0));
            let _ = guest.backend_event();
            let mut expected = waiting(0, IN_SIZE, base, bytes);
            expected.extend(if room > 0 { &b"!"[..] } else { b"" });
            // The room is at most what the guest has read.
            assert!(peer.in_space() <= 1024 - expected.len() + 32);
            assert_eq!(receive(&mut guest).0, expected, "{base} + {bytes}");
            assert_eq!(peer.in_space(), 1024);
        }
    }
}

#[test]
fn each_invalid_index_of_out_is_counted_once() {
    for base in BASES {
        for lie in lies(OUT_SIZE) {
            let page = AtomicPage::new();
            let mut guest = at(&page, base, 3, 0);
            let out_prod = base.wrapping_add(3);
            page.store_u32(OUT_CONS, out_prod.wrapping_sub(lie));
            let _ = guest.backend_event();
            assert_eq!(guest.backend().traffic().resyncs, 1, "{base}, {lie:#x}");

            let page = AtomicPage::new();
            let _guest = at(&page, base, 3, 0);
            let mut peer = RingPeer::new(&page);
            page.store_u32(OUT_PROD, base.wrapping_add(lie));
            assert_eq!(peer.out_len(), 0);
            assert_eq!(take(&mut peer).0, b"", "{base}, {lie:#x}");
            assert_eq!(peer.resyncs(), 1);
        }
    }
}

#[test]
fn each_invalid_index_of_in_is_counted_once() {
    for base in BASES {
        for lie in lies(IN_SIZE) {
            let page = AtomicPage::new();
            let mut guest = at(&page, base, 0, 0);
            page.store_u32(IN_PROD, base.wrapping_add(lie));
            let _ = guest.backend_event();
            assert_eq!(guest.backend().traffic().resyncs, 1, "{base}, {lie:#x}");
            assert_eq!(read(&mut guest, FR).value & RXFE, RXFE);

            let page = AtomicPage::new();
            let _guest = at(&page, base, 0, 0);
            let mut peer = RingPeer::new(&page);
            page.store_u32(IN_CONS, base.wrapping_sub(lie));
            assert_eq!(peer.in_space(), 0);
            assert_eq!(peer.put_in(b"!").bytes, 0, "{base}, {lie:#x}");
            assert_eq!(peer.resyncs(), 1);
        }
    }
}

/// Every value at every offset of an idle and of a busy state: refused, or a state
/// that saves as the same bytes.
#[test]
fn each_value_of_each_byte_is_refused_or_exact() {
    for profile in [Profile::Pl011, Profile::Sbsa] {
        let page = AtomicPage::new();
        let (mut guest, mut peer) = attach_to(profile, &page);
        for busy in [false, true] {
            if busy {
                let _ = write(&mut guest, 0x038, 0x7FF);
                send(&mut guest, &pattern(2060));
                assert_eq!(peer.put_in(&pattern(200)).bytes, 200);
                let _ = guest.backend_event();
                let _ = guest.receive_break();
            }
            let good = guest.save().0;
            let mut taken = 0;
            // An older version is saved as the current one.
            for at in (0..SIZE).filter(|&at| at != 6) {
                for value in 0..=255 {
                    let mut bytes = good;
                    bytes[at] = value;
                    if let Ok(restored) = Uart::<RingPort<_>>::restore(&page, &bytes) {
                        assert_eq!(restored.save().0, bytes, "{value:#x} at {at}");
                        taken += 1;
                    }
                }
            }
            // At least the state itself, and any value of the counters' bytes.
            assert!(taken >= SIZE + 255 * 8 * 4, "{taken}");
        }
    }
}
