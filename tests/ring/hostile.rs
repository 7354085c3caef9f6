// SPDX-License-Identifier: MIT
//! Peers with invalid indices, on either end: no access outside the buffers, no
//! crash, no endless loop, no permanent stall.

use proptest::collection::vec;
use proptest::prelude::*;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::index::{filled, passed};
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;

use crate::{FR, TXFF, attach, pattern, read, receive, send, take};

const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;

#[test]
fn a_span_past_the_size_is_hostile() {
    assert_eq!(filled(0, 0, 2048), Some(0));
    assert_eq!(filled(2048, 0, 2048), Some(2048));
    assert_eq!(filled(2049, 0, 2048), None);
    assert_eq!(filled(0, 1, 2048), None);
    assert_eq!(filled(5, u32::MAX - 4, 1024), Some(10));
}

/// As in virtio's event index: an event counts once the index is beyond it.
#[test]
fn an_event_is_passed_once() {
    assert!(!passed(10, 5, 10));
    assert!(passed(10, 5, 11));
    assert!(passed(10, 10, 11));
    assert!(!passed(10, 11, 12));
    assert!(passed(u32::MAX, u32::MAX, 0));
    assert!(!passed(0, u32::MAX, 0));
}

#[test]
fn an_invalid_out_cons_is_counted_and_corrected() {
    for lie in [1, 2049, 0x8000_0000, 0_u32.wrapping_sub(2049)] {
        let page = AtomicPage::new();
        let (mut guest, _) = attach(&page);
        page.store_u32(OUT_CONS, lie);
        let _ = guest.backend_event();
        assert_eq!(guest.backend().traffic().resyncs, 1, "lie {lie:#x}");
        let mut peer = RingPeer::new(&page);
        assert_eq!(peer.resyncs(), 0);
        assert_eq!(send(&mut guest, b"again"), 1);
        assert_eq!(take(&mut peer).0, b"again");
        assert_eq!(
            guest.backend().traffic().bytes_out,
            5,
            "only what was sent counts"
        );
    }
}

/// A backend that never takes output blocks only its own guest.
#[test]
fn a_backend_that_never_takes_does_not_block_the_guest() {
    let page = AtomicPage::new();
    let (mut guest, _) = attach(&page);
    send(&mut guest, &pattern(2080));
    for _ in 0..100 {
        assert_eq!(read(&mut guest, FR).value & TXFF, TXFF);
        assert_eq!(send(&mut guest, b"x"), 0);
    }
    assert_eq!(guest.counters().dropped, 100);
}

#[test]
fn an_invalid_in_prod_is_counted_and_corrected() {
    for lie in [1025, 0x8000_0000, u32::MAX] {
        let page = AtomicPage::new();
        let (mut guest, _) = attach(&page);
        page.store_u32(IN_PROD, lie);
        let _ = guest.backend_event();
        assert_eq!(guest.backend().traffic().resyncs, 1, "lie {lie:#x}");
        assert_eq!(receive(&mut guest).0, b"");
        let mut peer = RingPeer::new(&page);
        assert_eq!(peer.put_in(b"again").bytes, 5);
        let _ = guest.backend_event();
        assert_eq!(receive(&mut guest).0, b"again");
    }
}

#[test]
fn a_peer_corrects_an_invalid_out_prod() {
    let page = AtomicPage::new();
    let mut peer = RingPeer::new(&page);
    page.store_u32(OUT_PROD, 5000);
    assert_eq!(peer.out_len(), 0);
    let taken = peer.take_out(&mut [0; 100]);
    assert_eq!((taken.bytes, taken.notify), (0, true));
    assert_eq!(peer.resyncs(), 1);
    assert_eq!(page.load_u32(OUT_CONS), 5000);
    page.store_u8(1024 + 5000 % 2048, b'x');
    page.store_u32(OUT_PROD, 5001);
    assert_eq!(take(&mut peer).0, b"x");
}

#[test]
fn a_peer_corrects_an_invalid_in_cons() {
    let page = AtomicPage::new();
    let mut peer = RingPeer::new(&page);
    page.store_u32(IN_CONS, 77);
    assert_eq!(peer.in_space(), 0);
    let put = peer.put_in(b"x");
    assert_eq!((put.bytes, put.notify), (0, true));
    assert_eq!(peer.resyncs(), 1);
    assert_eq!(page.load_u32(IN_PROD), 77);
    assert_eq!(peer.put_in(b"x").bytes, 1);
}

#[test]
fn a_peer_that_attaches_to_invalid_indices_starts_empty() {
    let page = AtomicPage::new();
    for (index, value) in [
        (IN_CONS, 1),
        (IN_PROD, 99_999),
        (OUT_CONS, 12),
        (OUT_PROD, 7),
    ] {
        page.store_u32(index, value);
    }
    let mut peer = RingPeer::new(&page);
    assert_eq!(peer.resyncs(), 2);
    assert_eq!((peer.out_len(), peer.in_space()), (0, 1024));
    assert_eq!(take(&mut peer).0, b"");
}

/// Invalid thresholds cost only doorbells or delays; a byte that has to wait rings
/// in any case.
#[test]
fn invalid_thresholds_are_harmless() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = guest.backend_event();
    page.store_u32(3588, 0x7FFF_FFFF);
    assert_eq!(send(&mut guest, &pattern(2048)), 0);
    assert_eq!(send(&mut guest, b"x"), 1);
}

/// Anyone who can write to the page can change the indices of either end.
#[test]
fn overwritten_indices_are_corrected() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, &pattern(2080));
    page.store_u32(OUT_PROD, 0);
    page.store_u32(IN_CONS, 500);
    assert!(guest.backend_event().doorbell);
    assert_eq!(take(&mut peer).0, &pattern(2048)[..]);
    assert_eq!(page.load_u32(IN_CONS), 0);
}

#[derive(Clone, Debug)]
enum Act {
    Send(usize),
    Receive,
    Event,
    Take(usize),
    Put(usize),
    Scribble(usize, u32),
    Attach,
}

fn act() -> impl Strategy<Value = Act> {
    let word = prop_oneof![
        4 => Just(IN_CONS), 4 => Just(IN_PROD), 4 => Just(OUT_CONS), 4 => Just(OUT_PROD),
        1 => Just(3588_usize), 1 => Just(3592_usize), 1 => (0_usize..1024).prop_map(|word| word * 4),
    ];
    let value = prop_oneof![any::<u32>(), 0_u32..5000, Just(0x5645_4958_u32)];
    prop_oneof![
        (0_usize..3000).prop_map(Act::Send),
        Just(Act::Receive),
        Just(Act::Event),
        (0_usize..3000).prop_map(Act::Take),
        (0_usize..3000).prop_map(Act::Put),
        (word, value.clone()).prop_map(|(word, value)| Act::Scribble(word, value)),
        value.prop_map(|value| Act::Scribble(3584, value)),
        Just(Act::Attach),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Both ends survive arbitrary writes to the page, and transfer bytes again
    /// afterwards, following any bytes from before.
    #[test]
    fn both_ends_survive_arbitrary_writes(acts in vec(act(), 1..60)) {
        let page = AtomicPage::new();
        let (mut guest, mut peer) = attach(&page);
        for act in acts {
            match act {
                Act::Send(bytes) => { send(&mut guest, &pattern(bytes)); }
                // The FIFO, the ring's known content, and the content that it then
                // claims.
                Act::Receive => prop_assert!(receive(&mut guest).0.len() <= 32 + 2 * 1024),
                Act::Event => { let _ = guest.backend_event(); }
                Act::Take(bytes) => { let _ = peer.take_out(&mut vec![0; bytes]); }
                Act::Put(bytes) => { let _ = peer.put_in(&pattern(bytes)); }
                Act::Scribble(word, value) => page.store_u32(word, value),
                Act::Attach => peer = RingPeer::new(&page),
            }
        }
        let mut peer = RingPeer::new(&page);
        for _ in 0..4 {
            let _ = guest.backend_event();
            take(&mut peer);
            receive(&mut guest);
            let _ = peer.put_in(b"");
        }
        send(&mut guest, b"out");
        prop_assert!(take(&mut peer).0.ends_with(b"out"));
        prop_assert_eq!(peer.put_in(b"in").bytes, 2);
        let _ = guest.backend_event();
        prop_assert!(receive(&mut guest).0.ends_with(b"in"));
    }
}
