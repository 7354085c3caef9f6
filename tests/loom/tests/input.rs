// SPDX-License-Identifier: MIT
//! Input: every byte once and in order; no guest sleeps while bytes wait, and no
//! backend sleeps while there is room.
#![forbid(unsafe_code)]

use interleavings::{Backend, Barriers, Machine, Old, Ours, Start, check};
use loom::thread;
use std::sync::Arc;
use vpl011::backend::Backend as _;

const DR: u16 = 0x000;
const FR: u16 = 0x018;
const RXFE: u32 = 1 << 4;
const RIS: u16 = 0x03C;
const ICR: u16 = 0x044;
const RX: u32 = 0x10;
const RX_RT: u32 = 0x50;

const BYTES: &[u8] = b"xyz";

/// A guest that reads all input and then sleeps until its interrupt.
fn reads(machine: &Machine, count: usize) -> Vec<u8> {
    machine.unmask(RX_RT);
    let mut got = Vec::new();
    while got.len() < count {
        if machine.read(FR) & RXFE == 0 {
            got.push(machine.read(DR).to_le_bytes()[0]);
        } else {
            machine.interrupt.wait();
        }
    }
    got
}

/// When a guest clears its interrupt.
#[derive(Clone, Copy)]
enum Clears {
    /// After it has read a character, without having read the interrupt's status.
    Unseen,
    /// Before it reads a character, after having read the status.
    Seen,
}

/// A guest without FIFOs that reads one character per interrupt and clears the
/// interrupt. While it has one, the FIFO is full, and the device has only its last
/// view of the ring.
fn reads_and_clears(machine: &Machine, clears: Clears, count: usize) -> Vec<u8> {
    machine.unmask(RX);
    let mut got = Vec::new();
    while got.len() < count {
        if !machine.line() {
            machine.interrupt.wait();
            continue;
        }
        if let Clears::Seen = clears {
            machine.read(RIS);
            machine.write(ICR, RX);
        }
        got.push(machine.read(DR).to_le_bytes()[0]);
        if let Clears::Unseen = clears {
            machine.write(ICR, RX);
        }
    }
    got
}

/// All bytes to a guest that clears, in two parts: the second finds an empty ring,
/// or one whose first character the device has not taken.
fn to_who_clears(clears: Clears, attach: fn(&Machine) -> Ours) {
    let machine = Arc::new(Machine::new(Start::EMPTY, Barriers::Kept));
    let vcpu = {
        let machine = machine.clone();
        thread::spawn(move || reads_and_clears(&machine, clears, BYTES.len()))
    };
    let mut backend = attach(&machine);
    let (first, second) = BYTES.split_at(2);
    backend.put_all(&machine, first);
    backend.put_all(&machine, second);
    assert_eq!(vcpu.join().unwrap(), BYTES);
}

/// A guest without FIFOs read its interrupt's status while one character was in the
/// receiver and another in the ring. It clears the interrupt without reading data;
/// a third character arrives meanwhile, and must be signalled.
fn cleared_while_more_comes(attach: fn(&Machine) -> Ours) {
    let machine = Arc::new(Machine::new(Start::EMPTY, Barriers::Kept));
    let mut backend = attach(&machine);
    machine.unmask(RX);
    let (first, second) = BYTES.split_at(2);
    backend.put_all(&machine, first);
    assert_eq!(machine.read(RIS) & RX, RX);
    let vcpu = {
        let machine = machine.clone();
        thread::spawn(move || {
            machine.write(ICR, RX);
            while !machine.line() {
                machine.interrupt.wait();
            }
        })
    };
    backend.put_all(&machine, second);
    vcpu.join().unwrap();
}

/// All bytes from a backend to a guest, in two parts; the guest may find the second
/// before it is notified.
fn transfer<B: Backend>(barriers: Barriers, attach: fn(&Machine) -> B) {
    let machine = Arc::new(Machine::new(Start::EMPTY, barriers));
    let vcpu = {
        let machine = machine.clone();
        thread::spawn(move || reads(&machine, BYTES.len()))
    };
    let mut backend = attach(&machine);
    let (first, second) = BYTES.split_at(1);
    backend.put_all(&machine, first);
    backend.put_all(&machine, second);
    assert_eq!(vcpu.join().unwrap(), BYTES);
}

/// `in` without room for three bytes. The guest empties it in two parts; after the
/// first it is more than half full. Then the guest sleeps until there is more.
/// Returns how often the backend was notified of room.
fn through_a_full_ring<B: Backend>(barriers: Barriers, attach: fn(&Machine) -> B) -> usize {
    through(Start::input_room(0), barriers, attach)
}

/// The same for any start, full or nearly full.
fn through<B: Backend>(start: Start, barriers: Barriers, attach: fn(&Machine) -> B) -> usize {
    let machine = Arc::new(Machine::new(start, barriers));
    let held = start.input.0.wrapping_sub(start.input.1) as usize;
    let vcpu = {
        let machine = machine.clone();
        thread::spawn(move || {
            let mut got = take(&machine, 300);
            while got.len() < held + BYTES.len() {
                let more = take(&machine, 1024);
                if more.is_empty() {
                    machine.interrupt.wait();
                }
                got.extend(more);
            }
            got
        })
    };
    attach(&machine).put_all(&machine, BYTES);
    let got = vcpu.join().unwrap();
    assert!(got[..held].iter().all(|&byte| byte == b'.'));
    assert_eq!(&got[held..], BYTES);
    machine.rings()
}

/// The guest's end takes at most so many bytes and releases their room.
fn take(machine: &Machine, most: usize) -> Vec<u8> {
    machine.enter_port(|port| {
        let got: Vec<u8> = std::iter::from_fn(|| port.try_recv()).take(most).collect();
        (got, port.acknowledge())
    })
}

#[test]
fn a_guest_sleeps_on_no_byte_of_an_old_backend() {
    check(|| transfer(Barriers::Kept, Old::attach));
}

#[test]
fn a_guest_sleeps_on_no_byte_without_the_event_index() {
    check(|| transfer(Barriers::Kept, Ours::attach));
}

#[test]
fn a_guest_sleeps_on_no_byte_with_the_event_index() {
    check(|| transfer(Barriers::Kept, Ours::with_event_index));
}

#[test]
fn a_guest_that_clears_unseen_sleeps_on_no_byte() {
    check(|| to_who_clears(Clears::Unseen, Ours::with_event_index));
}

#[test]
fn a_guest_that_clears_what_it_saw_sleeps_on_no_byte() {
    check(|| to_who_clears(Clears::Seen, Ours::with_event_index));
}

#[test]
fn a_guest_that_cleared_is_notified_of_more() {
    check(|| cleared_while_more_comes(Ours::with_event_index));
}

/// It cannot request a doorbell; it is notified once, when it may have found `in`
/// full and half of it is free.
#[test]
fn an_old_backend_sleeps_on_no_room() {
    check(|| assert!(through_a_full_ring(Barriers::Kept, Old::attach) <= 1));
}

#[test]
fn a_backend_without_the_event_index_sleeps_on_no_room() {
    check(|| assert!(through_a_full_ring(Barriers::Kept, Ours::attach) <= 1));
}

#[test]
fn a_backend_with_the_event_index_sleeps_on_no_room() {
    check(|| {
        let rings = through_a_full_ring(Barriers::Kept, Ours::with_event_index);
        assert!(rings <= 1);
    });
}

/// It fills the ring, finds no room at its last read, notifies and sleeps.
#[test]
fn a_backend_that_looks_before_it_notifies_sleeps_on_no_room() {
    check(|| {
        let attach = |machine: &Machine| {
            let mut backend = Ours::attach(machine);
            backend.looks_again = false;
            backend
        };
        assert!(through(Start::input_room(1), Barriers::Kept, attach) <= 1);
    });
}

// Checks of the models: each has one defect, which is found.

#[test]
#[should_panic(expected = "deadlock")]
fn without_barriers_room_is_not_notified() {
    check(|| {
        through_a_full_ring(Barriers::Left, Ours::with_event_index);
    });
}

#[test]
#[should_panic(expected = "assertion")]
fn without_barriers_input_is_read_too_early() {
    check(|| {
        through(Start::input_room(3), Barriers::Left, Old::attach);
    });
}
