// SPDX-License-Identifier: MIT
//! When each side is notified, and when not.

use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;

use crate::{DR, FR, attach, pattern, read, receive, send, take, write};

const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const IMSC: u16 = 0x038;
const MIS: u16 = 0x040;
const ICR: u16 = 0x044;
const RX_RT: u32 = 0x50;

#[test]
fn a_burst_rings_once() {
    let page = AtomicPage::new();
    let (mut guest, _peer) = attach(&page);
    assert_eq!(send(&mut guest, &pattern(1000)), 1);
    assert_eq!(guest.counters().doorbells, 1);
}

#[test]
fn each_first_byte_rings() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    for _ in 0..5 {
        assert_eq!(send(&mut guest, b"x"), 1);
        let (_, notify) = take(&mut peer);
        assert!(notify);
        assert!(!guest.backend_event().doorbell);
    }
}

/// Other reads and writes never ring.
#[test]
fn other_accesses_do_not_ring() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    assert_eq!(peer.put_in(b"typed").bytes, 5);
    assert!(!guest.backend_event().doorbell);
    assert_eq!(receive(&mut guest).1, 0);
    for offset in (0..0x50).step_by(4) {
        assert!(!read(&mut guest, offset).doorbell);
    }
    assert!(!read(&mut guest, DR).doorbell, "empty");
}

/// xenconsoled publishes `out_cons`, notifies and does not read again.
#[test]
fn a_backend_that_does_not_look_again_is_notified_again() {
    let page = AtomicPage::new();
    let (mut guest, _) = attach(&page);
    assert_eq!(send(&mut guest, &pattern(10)), 1);
    let seen = page.load_u32(OUT_PROD);
    assert_eq!(send(&mut guest, b"between its look and its store"), 0);
    page.store_u32(OUT_CONS, seen);
    assert!(guest.backend_event().doorbell);
    page.store_u32(OUT_CONS, page.load_u32(OUT_PROD));
    assert!(!guest.backend_event().doorbell);
    assert_eq!(send(&mut guest, b"x"), 1);
}

/// D11: a doorbell without a backend is not the last one.
#[test]
fn an_attaching_backend_is_found() {
    let page = AtomicPage::new();
    let (mut guest, _gone) = attach(&page);
    assert_eq!(send(&mut guest, b"unheard"), 1);
    let mut peer = RingPeer::new(&page);
    assert_eq!(take(&mut peer).0, b"unheard");
    assert!(!guest.backend_event().doorbell);
    assert_eq!(send(&mut guest, b"heard"), 1);
}

/// The last backend died after publishing `out_cons` and before notifying; the new
/// one notifies once when it attaches.
#[test]
fn a_lost_notification_is_made_up_for() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, b"x");
    let _ = take(&mut peer);
    let _peer = RingPeer::new(&page);
    assert!(!guest.backend_event().doorbell);
    assert_eq!(send(&mut guest, b"y"), 1);
}

#[test]
fn the_first_byte_that_has_to_wait_rings() {
    let page = AtomicPage::new();
    let (mut guest, _peer) = attach(&page);
    assert_eq!(send(&mut guest, &pattern(2048)), 1);
    assert_eq!(send(&mut guest, b"q"), 1);
    assert_eq!(send(&mut guest, b"rst"), 0);
}

/// A flag read that moves queued bytes rings for them like a send.
#[test]
fn a_flag_read_that_sends_rings() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, &pattern(2050));
    assert_eq!(take(&mut peer).0.len(), 2048);
    assert!(read(&mut guest, FR).doorbell);
    assert_eq!(take(&mut peer).0.len(), 2);
}

/// A queued character that finds room rings if the backend found the ring empty,
/// and not if it still has bytes to take.
#[test]
fn the_last_that_waited_rings_into_an_empty_ring_only() {
    for (taken, rings) in [(2048, true), (100, false)] {
        let page = AtomicPage::new();
        let (mut guest, mut peer) = attach(&page);
        send(&mut guest, &pattern(2049));
        assert_eq!(peer.take_out(&mut vec![0; taken]).bytes, taken);
        assert_eq!(read(&mut guest, FR).doorbell, rings, "{taken}");
        assert_eq!(take(&mut peer).0.len(), 2049 - taken);
    }
}

#[test]
fn a_backend_that_was_blocked_is_notified_at_half() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    let mut input = pattern(4000);
    let mut given = peer.put_in(&input).bytes;
    let mut got = Vec::new();
    assert!(!guest.backend_event().doorbell);
    for _ in 0..4000 {
        if got.len() == pattern(4000).len() {
            break;
        }
        let outcome = read(&mut guest, DR);
        got.push(outcome.value.to_le_bytes()[0]);
        if outcome.doorbell {
            // The room may exceed half by what the FIFO took at once.
            assert!((512..512 + 32).contains(&peer.in_space()));
            input.drain(..given);
            given = peer.put_in(&input).bytes;
            assert!(!guest.backend_event().doorbell);
        }
    }
    assert_eq!(got, pattern(4000));
    assert!(
        guest.counters().doorbells <= 6,
        "{} doorbells",
        guest.counters().doorbells
    );
}

/// The backend found `in` full although the guest had read meanwhile.
#[test]
fn a_backend_that_filled_a_moving_ring_is_notified() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    assert_eq!(peer.put_in(&pattern(600)).bytes, 600);
    let _ = guest.backend_event();
    assert_eq!(
        peer.put_in(&pattern(1000)).bytes,
        456,
        "full, and not yet notified of it"
    );
    let (bytes, doorbells) = receive(&mut guest);
    assert_eq!((bytes.len(), doorbells), (1056, 1));
}

#[test]
fn a_backend_that_was_never_blocked_is_not_notified() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    for _ in 0..20 {
        assert_eq!(peer.put_in(&pattern(500)).bytes, 500);
        assert!(!guest.backend_event().doorbell);
        assert_eq!(receive(&mut guest).1, 0);
    }
}

#[test]
fn the_event_index_rings_at_its_threshold_only() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    assert!(!guest.backend_event().doorbell);
    assert_eq!(
        send(&mut guest, &pattern(10)),
        0,
        "not armed: the backend polls"
    );
    assert!(peer.arm_out(1), "bytes already");
    assert_eq!(take(&mut peer).0, pattern(10));
    assert!(!peer.arm_out(1));
    assert_eq!(send(&mut guest, &pattern(10)), 1);
    let (bytes, notify) = take(&mut peer);
    assert_eq!(bytes, pattern(10));
    assert!(!notify, "no backend waits for room");
    assert_eq!(
        send(&mut guest, &pattern(10)),
        0,
        "a threshold passed is passed"
    );
}

#[test]
fn with_the_event_index_a_waiting_backend_is_notified_of_room() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = guest.backend_event();
    send(&mut guest, &pattern(2047));
    assert!(!take(&mut peer).1, "there was room");
    assert_eq!(send(&mut guest, &pattern(2048)), 0);
    assert_eq!(send(&mut guest, b"waits"), 1, "whatever the threshold");
    let (_, notify) = take(&mut peer);
    assert!(notify);
    let _ = guest.backend_event();
    assert_eq!(take(&mut peer).0, b"waits");
}

#[test]
fn with_the_event_index_a_waiting_guest_is_notified_of_input() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = guest.backend_event();
    assert!(peer.put_in(b"first").notify);
    assert!(!peer.put_in(b" second").notify, "the guest will find it");
    let _ = guest.backend_event();
    assert_eq!(receive(&mut guest).0, b"first second");
    assert!(peer.put_in(b"third").notify);
}

/// A guest that read the status of a full FIFO, cleared it and has not read data
/// yet. Each further byte is behind others, but is signalled.
#[test]
fn input_behind_a_full_fifo_is_signalled() {
    for before in [32, 40] {
        let page = AtomicPage::new();
        let (mut guest, mut peer) = attach(&page);
        peer.enable_event_index();
        let _ = write(&mut guest, IMSC, RX_RT);
        assert!(peer.put_in(&pattern(before)).notify);
        let mut outcome = guest.backend_event();
        for _ in 0..3 {
            assert!(!outcome.pending.is_empty());
            assert_eq!(read(&mut guest, MIS).value, RX_RT);
            assert!(write(&mut guest, ICR, RX_RT).pending.is_empty());
            assert!(peer.put_in(b"+").notify);
            outcome = guest.backend_event();
        }
        assert!(
            !peer.put_in(b"+").notify,
            "the line is high, and the guest reads"
        );
        let expected = [&pattern(before), b"++++".as_slice()].concat();
        assert_eq!(receive(&mut guest).0, expected);
    }
}

/// Input that arrived between the status read and the clear, behind other bytes.
#[test]
fn a_clear_finds_input_that_was_not_signalled() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = write(&mut guest, IMSC, RX_RT);
    assert!(peer.put_in(&pattern(40)).notify);
    let _ = guest.backend_event();
    assert_eq!(read(&mut guest, MIS).value, RX_RT);
    assert!(!peer.put_in(b"+").notify);
    assert!(!write(&mut guest, ICR, RX_RT).pending.is_empty());
    assert_eq!(read(&mut guest, MIS).value, RX_RT);
    assert!(write(&mut guest, ICR, RX_RT).pending.is_empty());
}

#[test]
fn with_the_event_index_the_backend_names_the_room() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = guest.backend_event();
    assert_eq!(peer.put_in(&pattern(1024)).bytes, 1024);
    assert!(!peer.arm_in(100));
    let _ = guest.backend_event();
    let mut read_until_told = 0;
    while !read(&mut guest, DR).doorbell {
        read_until_told += 1;
        assert!(read_until_told < 1024);
    }
    assert_eq!(peer.in_space(), 100);
    assert_eq!(receive(&mut guest).1, 0);
    assert!(peer.arm_in(5000), "clamped to the whole buffer");
}

/// The word is gone, for example after a crash and a backend without the event
/// index: the next byte rings, and the plain rule applies again.
#[test]
fn without_its_word_the_event_index_is_off() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = guest.backend_event();
    send(&mut guest, b"a");
    let mut peer = RingPeer::new(&page);
    assert_eq!(send(&mut guest, b"b"), 1);
    assert_eq!(take(&mut peer).0, b"ab");
    let _ = guest.backend_event();
    assert_eq!(send(&mut guest, &pattern(10)), 1);
}

/// Announced between the guest's last byte and its event.
#[test]
fn announcing_the_event_index_loses_no_byte() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    assert_eq!(send(&mut guest, b"a"), 1);
    let _ = take(&mut peer);
    peer.enable_event_index();
    assert!(!peer.arm_out(1));
    assert_eq!(send(&mut guest, b"b"), 0);
    assert!(guest.backend_event().doorbell);
}

#[test]
fn withdrawing_the_event_index_restores_the_rule() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = guest.backend_event();
    send(&mut guest, b"a");
    peer.disable_event_index();
    assert!(guest.backend_event().doorbell);
    let (_, notify) = take(&mut peer);
    assert!(notify);
    assert!(!guest.backend_event().doorbell);
    assert_eq!(send(&mut guest, b"b"), 1);
}

#[test]
fn a_far_end_without_the_event_index_is_always_notified() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    assert!(peer.put_in(b"a").notify);
    assert!(peer.put_in(b"b").notify);
    assert!(!peer.put_in(b"").notify);
    send(&mut guest, b"c");
    assert!(take(&mut peer).1);
    assert!(!take(&mut peer).1, "nothing taken");
}

#[test]
fn a_backend_that_looks_by_itself_is_rung_when_the_ring_is_full() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    peer.enable_event_index();
    let _ = guest.backend_event();
    assert!(!peer.arm_out(2048));
    assert_eq!(send(&mut guest, &pattern(2047)), 0);
    assert!(!peer.arm_out(2048), "a second request changes nothing");
    assert_eq!(send(&mut guest, b"x"), 1);
    assert!(peer.arm_out(2048) && peer.arm_out(usize::MAX));
    assert_eq!(take(&mut peer).0.len(), 2048);
    assert!(!peer.arm_out(0), "at least one byte");
    assert_eq!(send(&mut guest, b"y"), 1);
}
