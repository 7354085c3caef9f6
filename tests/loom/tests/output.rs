// SPDX-License-Identifier: MIT
//! Output: every byte once and in order, and no order of events in which the
//! backend sleeps although bytes wait and no signal will come.
#![forbid(unsafe_code)]

use interleavings::{Backend, Barriers, Machine, Old, Ours, Start, check};
use loom::thread;
use std::sync::Arc;

const DR: u16 = 0x000;
const FR: u16 = 0x018;
const TXFF: u32 = 1 << 5;
const TX: u32 = 1 << 5;

/// The bytes that the guest writes; the ring may already hold others.
const BYTES: &[u8] = b"abc";

/// A guest that writes without reading the flags: there is room.
fn blind(machine: &Machine) {
    for &byte in BYTES {
        machine.write(DR, byte.into());
    }
}

/// A guest that sleeps for its transmit interrupt when TXFF is set.
fn careful(machine: &Machine) {
    machine.unmask(TX);
    for &byte in BYTES {
        while machine.read(FR) & TXFF != 0 {
            machine.interrupt.wait();
        }
        machine.write(DR, byte.into());
    }
}

/// All bytes from a guest to a backend. Returns when they have arrived.
fn transfer<B: Backend>(
    start: Start,
    barriers: Barriers,
    guest: fn(&Machine),
    attach: fn(&Machine) -> B,
) -> (Arc<Machine>, B) {
    let machine = Arc::new(Machine::new(start, barriers));
    let held = start.out.0.wrapping_sub(start.out.1) as usize;
    let vcpu = {
        let machine = machine.clone();
        thread::spawn(move || guest(&machine))
    };
    let mut backend = attach(&machine);
    let got = backend.take_all(&machine, held + BYTES.len());
    vcpu.join().unwrap();
    assert!(got[..held].iter().all(|&byte| byte == b'.'));
    assert_eq!(&got[held..], BYTES);
    (machine, backend)
}

#[test]
fn an_old_backend_misses_nothing() {
    check(|| {
        let (machine, _) = transfer(Start::EMPTY, Barriers::Kept, blind, Old::attach);
        assert!(machine.rings() <= machine.events() + 1);
    });
}

#[test]
fn a_backend_without_the_event_index_misses_nothing() {
    check(|| {
        let (machine, _) = transfer(Start::EMPTY, Barriers::Kept, blind, Ours::attach);
        assert!(machine.rings() <= machine.events() + 1);
    });
}

/// It is also notified no more often than it requested, except once when it
/// announces the event index while bytes wait.
#[test]
fn a_backend_with_the_event_index_misses_nothing() {
    check(|| {
        let attach = Ours::with_event_index;
        let (machine, backend) = transfer(Start::EMPTY, Barriers::Kept, blind, attach);
        assert!(machine.rings() <= backend.armed + 2);
    });
}

#[test]
fn a_full_ring_wakes_both_sides_of_an_old_backend() {
    check(|| {
        transfer(Start::room(0), Barriers::Kept, careful, Old::attach);
    });
}

#[test]
fn a_full_ring_wakes_both_sides_without_the_event_index() {
    check(|| {
        transfer(Start::room(0), Barriers::Kept, careful, Ours::attach);
    });
}

#[test]
fn a_full_ring_wakes_both_sides_with_the_event_index() {
    check(|| {
        let attach = Ours::with_event_index;
        transfer(Start::room(0), Barriers::Kept, careful, attach);
    });
}

/// The backend may find that the ring was not full and the guest that it is, each
/// with an old value of the other's index.
#[test]
fn a_ring_that_fills_up_wakes_both_sides_with_the_event_index() {
    check(|| {
        let attach = Ours::with_event_index;
        transfer(Start::room(1), Barriers::Kept, careful, attach);
    });
}

/// While no backend takes bytes, only the first byte rings.
#[test]
fn a_backend_that_sleeps_is_rung_once() {
    check(|| {
        let machine = Machine::new(Start::EMPTY, Barriers::Kept);
        blind(&machine);
        assert_eq!(machine.rings(), 1);
    });
}

// Checks of the models: each has one defect, which is found.

#[test]
#[should_panic(expected = "deadlock")]
fn without_barriers_wake_ups_are_lost() {
    check(|| {
        let attach = Ours::with_event_index;
        transfer(Start::EMPTY, Barriers::Left, blind, attach);
    });
}

#[test]
#[should_panic(expected = "assertion")]
fn without_barriers_bytes_are_read_too_early() {
    check(|| {
        transfer(Start::EMPTY, Barriers::Left, blind, Old::attach);
    });
}

#[test]
#[should_panic(expected = "written over before it was read")]
fn a_backend_that_releases_room_too_early_is_overwritten() {
    check(|| {
        let attach = |machine: &Machine| {
            let mut backend = Old::attach(machine);
            backend.hasty = true;
            backend
        };
        transfer(Start::room(0), Barriers::Kept, careful, attach);
    });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_backend_that_does_not_look_again_sleeps_for_ever() {
    check(|| {
        let attach = |machine: &Machine| {
            let mut backend = Ours::with_event_index(machine);
            backend.looks_again = false;
            backend
        };
        transfer(Start::EMPTY, Barriers::Kept, blind, attach);
    });
}
