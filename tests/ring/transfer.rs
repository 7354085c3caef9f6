// SPDX-License-Identifier: MIT
//! Transfers across the ring, in both directions, complete and in order.

use std::cell::{Cell, RefCell};

use proptest::collection::vec;
use proptest::prelude::*;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Uart};

use crate::{
    DR, FEN, FR, Guest, LCR_H, RXFE, TXFF, attach, pattern, read, receive, send, take, write,
};

/// UARTRIS (TRM 3.2).
const RIS: u16 = 0x03C;

/// Offsets of indices in the page (Xen `public/io/console.h`).
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;

/// A driver that polls while only the backend can make room is distinguished from
/// one that reads the flags occasionally.
#[test]
fn polling_stalls_while_characters_wait_for_the_backend() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, &pattern(2048));
    assert!(!read(&mut guest, FR).stalled);
    send(&mut guest, b"x");
    assert!(!read(&mut guest, FR).stalled, "the first look");
    assert!(read(&mut guest, FR).stalled);
    // Neither another register nor the write itself is a poll.
    assert!(!read(&mut guest, RIS).stalled);
    assert!(!write(&mut guest, DR, u32::from(b'y')).stalled);
    assert!(!read(&mut guest, FR).stalled, "it has just written");
    assert!(read(&mut guest, FR).stalled);

    take(&mut peer);
    assert!(!read(&mut guest, FR).stalled);
}

/// The page is read for input at a signal, and while input is known to wait: a
/// guest that polls an empty receiver causes no access to the page, and a backend
/// that signals when the ring was empty has done enough.
#[test]
fn input_is_taken_while_some_is_waiting() {
    for known in [1, 31, 32, 33, 100] {
        let page = AtomicPage::new();
        let (mut guest, mut peer) = attach(&page);
        let _ = write(&mut guest, LCR_H, FEN);
        let bytes = pattern(known + 500);
        assert_eq!(peer.put_in(&bytes[..known]).bytes, bytes[..known].len());
        for _ in 0..2 {
            assert_eq!(read(&mut guest, DR).value, 0, "not signalled yet");
        }
        let _ = guest.backend_event();
        // Bytes added to a ring that is not empty need no signal.
        let silent = page.load_u32(IN_PROD) != page.load_u32(IN_CONS);
        assert_eq!(peer.put_in(&bytes[known..]).bytes, bytes[known..].len());
        if !silent {
            let _ = guest.backend_event();
        }
        assert_eq!(receive(&mut guest).0, bytes, "{known}");
    }
}

/// A guest that reads input does not stall, even if its output waits.
#[test]
fn a_guest_that_reads_does_not_stall() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, &pattern(2048 + 1));
    for bytes in pattern(1000).chunks(100) {
        assert_eq!(peer.put_in(bytes).bytes, bytes.len());
        let _ = guest.backend_event();
        for &byte in bytes {
            let flags = read(&mut guest, FR);
            assert_eq!((flags.value & RXFE, flags.stalled), (0, false));
            assert_eq!(read(&mut guest, DR).value, byte.into());
        }
        assert!(!read(&mut guest, FR).stalled);
        assert!(
            read(&mut guest, FR).stalled,
            "nothing to read, and it waits"
        );
    }
}

/// Whether characters wait: TXFF at two reads, because one may be set after a
/// burst.
fn is_full(guest: &mut Guest<'_>) -> bool {
    (0..2).all(|_| read(guest, FR).value & TXFF != 0)
}

/// 2048 in the ring and 32 in the FIFO, and only then TXFF (D3).
#[test]
fn output_fills_ring_and_fifo() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    let bytes = pattern(2080);
    for &byte in &bytes {
        assert!(!is_full(&mut guest));
        send(&mut guest, &[byte]);
    }
    assert!(is_full(&mut guest));
    assert_eq!(peer.out_len(), 2048);
    let (mut got, notify) = take(&mut peer);
    assert!(notify);
    assert!(guest.backend_event().doorbell, "32 more");
    got.extend(take(&mut peer).0);
    assert_eq!(got, bytes);
}

/// A guest without a far side sees the FIFO full and loses nothing (D11).
#[test]
fn output_waits_for_a_backend() {
    let page = AtomicPage::new();
    let mut guest = Uart::new(RingPort::new(&page));
    let bytes = pattern(2049);
    send(&mut guest, &bytes);
    assert_eq!(read(&mut guest, FR).value & TXFF, TXFF);
    let mut peer = RingPeer::new(&page);
    let (mut got, _) = take(&mut peer);
    let _ = guest.backend_event();
    got.extend(take(&mut peer).0);
    assert_eq!(got, bytes);
    assert_eq!(guest.counters().dropped, 0);
}

#[test]
fn input_waits_in_the_ring() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    let bytes = pattern(1100);
    assert_eq!(peer.put_in(&bytes).bytes, 1024);
    assert_eq!(peer.in_space(), 0);
    let _ = guest.backend_event();
    assert_eq!(peer.in_space(), 32, "what the FIFO took");
    assert_eq!(peer.put_in(&bytes[1024..]).bytes, 32);
    let (got, _) = receive(&mut guest);
    assert_eq!(got, bytes[..1056]);
}

/// A page whose other end acts at a certain step of this end.
struct Meddled<'a> {
    page: &'a AtomicPage,
    /// Run once, just before `in_cons` becomes 3.
    act: Cell<Option<&'a dyn Fn()>>,
}

impl RingMemory for Meddled<'_> {
    fn load_u32(&self, offset: usize) -> u32 {
        self.page.load_u32(offset)
    }

    fn store_u32(&self, offset: usize, value: u32) {
        if (offset, value) == (3072, 3)
            && let Some(act) = self.act.take()
        {
            act();
        }
        self.page.store_u32(offset, value);
    }

    fn load_u8(&self, offset: usize) -> u8 {
        self.page.load_u8(offset)
    }

    fn store_u8(&self, offset: usize, value: u8) {
        self.page.store_u8(offset, value);
    }

    fn barrier(&self) {
        self.page.barrier();
    }
}

/// Input put after the device found `in` empty and before it published that, thus
/// without a notification: the read after publishing `in_cons` finds it.
#[test]
fn input_put_meanwhile_is_taken() {
    let page = AtomicPage::new();
    let peer = RefCell::new(RingPeer::new(&page));
    let put = || assert_eq!(peer.borrow_mut().put_in(b" two").bytes, 4);
    let memory = Meddled {
        page: &page,
        act: Cell::new(Some(&put)),
    };
    let mut guest = Uart::new(RingPort::new(memory));
    let _ = guest.write(Access::new(LCR_H, Width::Word), FEN);
    assert_eq!(peer.borrow_mut().put_in(b"one").bytes, 3);
    let _ = guest.backend_event();
    assert_eq!(page.load_u32(3072), 7, "in_cons");
}

/// A new backend continues where the last one stopped.
#[test]
fn a_backend_may_be_replaced() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, b"one two");
    assert_eq!(peer.take_out(&mut [0; 4]).bytes, 4);
    assert_eq!(peer.put_in(b"three").bytes, 5);
    let mut peer = RingPeer::new(&page);
    assert_eq!(peer.resyncs(), 0);
    assert_eq!(take(&mut peer).0, b"two");
    assert_eq!(peer.put_in(b" four").bytes, 5);
    let _ = guest.backend_event();
    assert_eq!(receive(&mut guest).0, b"three four");
}

/// Indices wrap at 2^32, and offsets with them.
#[test]
fn indices_wrap() {
    let page = AtomicPage::new();
    for index in [3072, 3076, 3080, 3084] {
        page.store_u32(index, u32::MAX - 9);
    }
    let mut peer = RingPeer::new(&page);
    assert_eq!((peer.out_len(), peer.in_space()), (0, 1024));
    assert_eq!(peer.put_in(&pattern(30)).bytes, 30);
    assert_eq!(page.load_u32(3076), 20);
    for (i, byte) in pattern(30).into_iter().enumerate() {
        assert_eq!(page.load_u8((1014 + i) % 1024), byte);
        page.store_u8(1024 + (2038 + i) % 2048, byte);
    }
    page.store_u32(3084, 20);
    assert_eq!(take(&mut peer).0, pattern(30));
    assert_eq!(peer.resyncs(), 0);
}

#[test]
fn counters_count() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    for _ in 0..3 {
        send(&mut guest, &pattern(2000));
        assert_eq!(take(&mut peer).0.len(), 2000);
        let _ = guest.backend_event();
        assert_eq!(peer.put_in(&pattern(10)).bytes, 10);
        let _ = guest.backend_event();
        receive(&mut guest);
    }
    let counters = guest.counters();
    let traffic = guest.backend().traffic();
    assert_eq!((traffic.bytes_out, traffic.bytes_in), (6000, 30));
    assert_eq!((counters.doorbells, traffic.resyncs), (3, 0));
    assert_eq!((counters.dropped, counters.overruns), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// With any portions, both directions are exact; every requested notification
    /// and doorbell is delivered, and no other.
    #[test]
    fn both_directions_are_exact(
        portions in vec((0_usize..3000, 0_usize..3000, 0_usize..1500, any::<bool>()), 1..40),
        event_index in any::<bool>(),
    ) {
        let page = AtomicPage::new();
        let (mut guest, mut peer) = attach(&page);
        if event_index {
            peer.enable_event_index();
            let _ = guest.backend_event();
            prop_assert!(!peer.arm_out(1));
        }
        let (mut sent, mut taken) = (Vec::new(), Vec::new());
        let (mut given, mut received) = (Vec::new(), Vec::new());
        let mut rung = false;
        for (outgoing, capacity, incoming, reads) in portions {
            for byte in pattern(outgoing) {
                let flags = read(&mut guest, FR);
                rung |= flags.doorbell;
                if flags.value & TXFF == 0 {
                    sent.push(byte);
                    rung |= send(&mut guest, &[byte]) > 0;
                }
            }
            let input = pattern(incoming);
            let put = peer.put_in(&input);
            given.extend(&input[..put.bytes]);
            let mut notify = put.notify;
            if rung {
                let mut buffer = vec![0; capacity];
                let result = peer.take_out(&mut buffer);
                taken.extend(&buffer[..result.bytes]);
                notify |= result.notify;
                rung = peer.arm_out(1);
            }
            if notify {
                rung |= guest.backend_event().doorbell;
            }
            if reads {
                received.extend(receive(&mut guest).0);
            }
        }
        while rung {
            let (bytes, notify) = take(&mut peer);
            taken.extend(bytes);
            rung = peer.arm_out(1);
            if notify {
                rung |= guest.backend_event().doorbell;
            }
        }
        received.extend(receive(&mut guest).0);
        prop_assert_eq!(taken, sent);
        prop_assert_eq!(received, given);
    }
}

#[test]
fn what_is_looked_at_stays_until_it_is_released() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    let sent = pattern(2048);
    send(&mut guest, &sent);
    let mut seen = [0; 3000];
    for _ in 0..2 {
        assert_eq!(peer.peek_out(&mut seen).bytes, 2048);
        assert_eq!(seen[..2048], sent);
        assert_eq!((peer.out_cons(), peer.out_len()), (0, 2048));
    }
    assert!(peer.release_out(48), "the far end found it full");
    assert_eq!((peer.out_cons(), page.load_u32(OUT_CONS)), (48, 48));
    // Another backend finds the bytes that the first one had not released.
    let mut other = RingPeer::new(&page);
    assert_eq!(take(&mut other).0, sent[48..]);
}

#[test]
fn a_backend_resumes_only_where_the_ring_can_have_been() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, &pattern(100));
    assert_eq!(peer.take_out(&mut [0; 30]).bytes, 30);
    for nonsense in [29, 0, 101, 2078, u32::MAX, 30_u32.wrapping_sub(2048)] {
        let mut peer = RingPeer::new(&page);
        assert!(!peer.resume_out(nonsense), "{nonsense}");
        assert_eq!(page.load_u32(OUT_CONS), 30);
    }
    let mut peer = RingPeer::new(&page);
    assert!(peer.resume_out(30) && peer.resume_out(60));
    assert_eq!(page.load_u32(OUT_CONS), 60);
    assert_eq!(take(&mut peer).0, pattern(100)[60..]);
    assert!(peer.resume_out(100) && !peer.resume_out(101));
}
