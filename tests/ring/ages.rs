// SPDX-License-Identifier: MIT
//! Hypervisor and daemon of different versions. `pages/` has the page as each side
//! of each version leaves it, and as a side without our extensions does ("plain",
//! as in Xen's `public/io/console.h`). Every later version must read these pages.

use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::{Profile, Uart};

use crate::{FEN, LCR_H, receive, send, take, write};

/// The page after `hello` was sent.
const HYPERVISORS: [(&str, &str); 2] = [
    ("0.1", include_str!("pages/hypervisor-0.1.txt")),
    ("plain", include_str!("pages/hypervisor-plain.txt")),
];

/// The page after `typed` was put in, with a doorbell requested at the fourth byte
/// of output.
const DAEMONS: [(&str, &str); 2] = [
    ("0.1", include_str!("pages/daemon-0.1.txt")),
    ("plain", include_str!("pages/daemon-plain.txt")),
];

/// The page of a text with lines `OFFSET WORD`; other words are 0.
fn page(text: &str) -> AtomicPage {
    let page = AtomicPage::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (offset, word) = line.split_once(' ').expect("an offset and a word");
        let offset = offset.parse().expect("a decimal offset");
        page.store_u32(offset, u32::from_str_radix(word, 16).expect("a word"));
    }
    page
}

fn words(page: &AtomicPage) -> Vec<u32> {
    (0..4096).step_by(4).map(|at| page.load_u32(at)).collect()
}

/// The current hypervisor; its guest has enabled the FIFOs.
fn hypervisor(page: &AtomicPage) -> Uart<RingPort<&AtomicPage>> {
    let mut guest = Uart::with_profile(Profile::Pl011, RingPort::new(page));
    let _ = write(&mut guest, LCR_H, FEN);
    let _ = guest.backend_event();
    guest
}

#[test]
fn what_version_0_1_leaves_is_pinned() {
    let of_hypervisor = AtomicPage::new();
    send(&mut hypervisor(&of_hypervisor), b"hello");
    assert_eq!(words(&of_hypervisor), words(&page(HYPERVISORS[0].1)));

    let of_daemon = AtomicPage::new();
    let mut peer = RingPeer::new(&of_daemon);
    peer.enable_event_index();
    assert!(!peer.arm_out(4));
    assert_eq!(peer.put_in(b"typed").bytes, 5);
    assert_eq!(words(&of_daemon), words(&page(DAEMONS[0].1)));
}

#[test]
fn a_daemon_of_today_serves_each_hypervisor() {
    for (version, text) in HYPERVISORS {
        for event_index in [false, true] {
            let page = page(text);
            let mut peer = RingPeer::new(&page);
            if event_index {
                peer.enable_event_index();
            }
            assert_eq!(take(&mut peer).0, b"hello", "{version}");
            // `in` was empty: each hypervisor is notified of its first byte.
            assert!(peer.put_in(b"x").notify, "{version}");
            // A daemon without the event index notifies of every byte. One with it
            // notifies only of the first: the hypervisor then takes all bytes.
            assert_eq!(peer.put_in(b"y").notify, !event_index, "{version}");
        }
    }
}

#[test]
fn a_hypervisor_of_today_serves_each_daemon() {
    for (version, text) in DAEMONS {
        let page = page(text);
        let mut guest = hypervisor(&page);
        assert_eq!(receive(&mut guest).0, b"typed", "{version}");
        let rings: Vec<bool> = (0..6).map(|_| send(&mut guest, b"o") == 1).collect();
        // At the fourth byte if requested, otherwise when `out` was empty.
        let at = if version == "plain" { 0 } else { 3 };
        let wanted: Vec<bool> = (0..6).map(|byte| byte == at).collect();
        assert_eq!(rings, wanted, "{version}");
        let taken: Vec<u8> = (1024..1030).map(|at| page.load_u8(at)).collect();
        assert_eq!(taken, b"oooooo", "{version}");
        // All output is taken, and no other byte is requested.
        page.store_u32(3080, 6);
        let _ = guest.backend_event();
        assert_eq!(send(&mut guest, b"o") == 1, version == "plain");
    }
}
