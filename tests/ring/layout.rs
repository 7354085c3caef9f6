// SPDX-License-Identifier: MIT
//! The page, byte by byte (Xen `public/io/console.h`), as either end leaves it.

use vpl011::Profile;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;

use crate::{LCR_H, attach, attach_to, receive, send, write};

#[test]
fn output_is_where_a_backend_reads_it() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, b"xy");
    assert_eq!([page.load_u8(1024), page.load_u8(1025)], *b"xy");
    assert_eq!(page.load_u32(3084), 2, "out_prod");
    assert_eq!(page.load_u32(3080), 0, "out_cons");
    assert_eq!(peer.take_out(&mut [0; 1]).bytes, 1);
    assert_eq!(page.load_u32(3080), 1, "out_cons");
}

#[test]
fn input_is_where_a_guest_reads_it() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    assert_eq!(peer.put_in(b"xyz").bytes, 3);
    assert_eq!([page.load_u8(0), page.load_u8(1), page.load_u8(2)], *b"xyz");
    assert_eq!(page.load_u32(3076), 3, "in_prod");
    assert_eq!(page.load_u32(3072), 0, "in_cons");
    let _ = guest.backend_event();
    assert_eq!(receive(&mut guest).0, b"xyz");
    assert_eq!(page.load_u32(3072), 3, "in_cons");
}

#[test]
fn buffers_end_where_the_indices_begin() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach_to(Profile::Sbsa, &page);
    send(&mut guest, &[0xAA; 2048]);
    assert_eq!(peer.put_in(&[0xBB; 2000]).bytes, 1024);
    for offset in 0..3072 {
        assert_eq!(
            page.load_u8(offset),
            if offset < 1024 { 0xBB } else { 0xAA },
            "at {offset}"
        );
    }
    for offset in (3092..3584).step_by(4).chain((3604..4096).step_by(4)) {
        assert_eq!(page.load_u32(offset), 0, "at {offset}");
    }
}

/// Xen 4.21: 0 while a backend is connected.
#[test]
fn attaching_connects() {
    let page = AtomicPage::new();
    page.store_u8(3088, 1);
    page.store_u32(3076, 7);
    page.store_u32(3072, 7);
    page.store_u32(3084, 9);
    page.store_u32(3080, 9);
    let peer = RingPeer::new(&page);
    assert_eq!(page.load_u8(3088), 0);
    // The last backend's positions, in_prod and out_cons.
    assert_eq!((peer.in_prod(), peer.out_cons()), (7, 9));
}

#[test]
fn the_event_index_has_its_words() {
    let page = AtomicPage::new();
    let (mut guest, mut peer) = attach(&page);
    send(&mut guest, &[0; 5]);
    assert_eq!(peer.take_out(&mut [0; 5]).bytes, 5);
    peer.enable_event_index();
    assert_eq!(page.load_u32(3584), 0x5645_4958);
    assert!(!peer.arm_out(1));
    assert_eq!(page.load_u32(3588), 5, "out_event: past the 5th byte");
    assert!(peer.arm_in(1));
    assert_eq!(page.load_u32(3592), 0_u32.wrapping_sub(1024), "in_event");
    peer.disable_event_index();
    assert_eq!(page.load_u32(3584), 0);
}

/// UARTLCR is one register of 30 bits, updated by a write of `LCR_H` (TRM 3.3.7).
#[test]
fn the_line_control_has_its_word() {
    const IBRD: u16 = 0x024;
    const FBRD: u16 = 0x028;
    let page = AtomicPage::new();
    let (mut guest, _peer) = attach(&page);
    assert_eq!(page.load_u32(3600), 0x10 << 22, "LCR_H alone");
    // 115,200 baud at 24 MHz.
    for (register, value) in [(IBRD, 13), (FBRD, 1)] {
        let _ = write(&mut guest, register, value);
        assert_eq!(page.load_u32(3600), 0x10 << 22, "not written yet");
    }
    let _ = write(&mut guest, LCR_H, 0x70);
    assert_eq!(page.load_u32(3600), 0x70 << 22 | 13 << 6 | 1);
    // An overwritten word remains until the next write of `LCR_H`.
    page.store_u32(3600, u32::MAX);
    send(&mut guest, b"bytes");
    assert_eq!(page.load_u32(3600), u32::MAX);
    for register in [IBRD, FBRD, LCR_H] {
        let _ = write(&mut guest, register, 0xFFFF_FFFF);
    }
    assert_eq!(page.load_u32(3600), 0x3FFF_FFFF);
}

#[test]
fn a_uart_without_line_control_leaves_its_word_alone() {
    let page = AtomicPage::new();
    let (mut guest, _peer) = attach_to(Profile::Sbsa, &page);
    let _ = write(&mut guest, LCR_H, 0x70);
    assert_eq!(page.load_u32(3600), 0);
}

/// The fake's words and bytes are the same memory.
#[test]
fn the_fake_is_one_memory() {
    let page = AtomicPage::new();
    page.store_u32(8, 0x0403_0201);
    assert_eq!(
        [8, 9, 10, 11].map(|offset| page.load_u8(offset)),
        [1, 2, 3, 4]
    );
    assert_eq!(page.load_u32(8), 0x0403_0201);
    page.store_u32(4092, 0x0807_0605);
    assert_eq!(
        [4092, 4093, 4094, 4095].map(|offset| page.load_u8(offset)),
        [5, 6, 7, 8]
    );
    page.store_u8(4093, 0xFF);
    assert_eq!(page.load_u32(4092), 0x0807_FF05);
}

/// The hypervisor's state for a domain, without the page.
#[test]
fn the_state_fits_its_budget() {
    assert!(size_of::<vpl011::Uart<vpl011::ring::port::RingPort<&AtomicPage>>>() <= 512);
}
