// SPDX-License-Identifier: MIT
//! Backends that sleep until the doorbell rings.

use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;

use crate::machine::Machine;
use crate::page::Shared;

const IN: usize = 0;
const OUT: usize = 1024;
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;

/// A backend: how it reads the ring, and whether it may then sleep.
pub trait Backend {
    /// Attaches, and notifies the far side.
    fn attach(machine: &Machine) -> Self;

    /// Takes the bytes in `out`; returns whether it may sleep now.
    fn take(&mut self, machine: &Machine, got: &mut Vec<u8>) -> bool;

    /// Puts as many of `bytes` as fit into `in`; returns how many, and whether it
    /// may sleep before the rest.
    fn put(&mut self, machine: &Machine, bytes: &[u8]) -> (usize, bool);

    /// Takes until it has `count` bytes.
    fn take_all(&mut self, machine: &Machine, count: usize) -> Vec<u8> {
        let mut got = Vec::new();
        loop {
            let idle = self.take(machine, &mut got);
            if got.len() >= count {
                return got;
            }
            if idle {
                machine.doorbell.wait();
            }
        }
    }

    /// Puts until all bytes are in the ring.
    fn put_all(&mut self, machine: &Machine, mut bytes: &[u8]) {
        loop {
            let (put, idle) = self.put(machine, bytes);
            bytes = &bytes[put..];
            if bytes.is_empty() {
                return;
            }
            if idle {
                machine.doorbell.wait();
            }
        }
    }
}

/// A backend on [`RingPeer`], as in `vconsoled`.
pub struct Ours {
    ring: RingPeer<Shared>,
    /// Whether it reads the ring again after it requested a doorbell, or notified.
    /// Without that, a backend that requested one is defective.
    pub looks_again: bool,
    event_index: bool,
    /// Doorbells that it requested.
    pub armed: usize,
}

impl Ours {
    /// Attaches and announces the event index.
    #[must_use]
    pub fn with_event_index(machine: &Machine) -> Self {
        let mut ring = RingPeer::new(machine.page());
        ring.enable_event_index();
        machine.notify();
        Self {
            ring,
            looks_again: true,
            event_index: true,
            armed: 0,
        }
    }
}

impl Backend for Ours {
    fn attach(machine: &Machine) -> Self {
        let ring = RingPeer::new(machine.page());
        machine.notify();
        Self {
            ring,
            looks_again: true,
            event_index: false,
            armed: 0,
        }
    }

    fn take(&mut self, machine: &Machine, got: &mut Vec<u8>) -> bool {
        let mut buffer = [0; 2048];
        loop {
            let seen = self.ring.peek_out(&mut buffer);
            if seen.notify {
                machine.notify();
            }
            if seen.bytes == 0 {
                break;
            }
            got.extend(&buffer[..seen.bytes]);
            if self.ring.release_out(seen.bytes) {
                machine.notify();
            }
        }
        self.armed += usize::from(self.event_index);
        !(self.event_index && self.ring.arm_out(1) && self.looks_again)
    }

    fn put(&mut self, machine: &Machine, bytes: &[u8]) -> (usize, bool) {
        let put = self.ring.put_in(bytes);
        if put.notify {
            machine.notify();
        }
        if put.bytes == bytes.len() {
            return (put.bytes, false);
        }
        if self.event_index {
            self.armed += 1;
            let _room_already = self.ring.arm_in(512);
        }
        let room = self.looks_again && self.ring.in_space() > 0;
        (put.bytes, !room)
    }
}

/// A backend of the original protocol: it reads the ring once per doorbell,
/// publishes the new index, and notifies.
pub struct Old {
    page: Shared,
    /// It releases room without a barrier after it has read the bytes: a defect.
    pub hasty: bool,
}

impl Backend for Old {
    fn attach(machine: &Machine) -> Self {
        machine.notify();
        Self {
            page: machine.page(),
            hasty: false,
        }
    }

    fn take(&mut self, machine: &Machine, got: &mut Vec<u8>) -> bool {
        let cons = self.page.load_u32(OUT_CONS);
        let prod = self.page.load_u32(OUT_PROD);
        self.page.barrier();
        if cons == prod {
            return true;
        }
        for index in 0..prod.wrapping_sub(cons) {
            let at = cons.wrapping_add(index) as usize % 2048;
            got.push(self.page.load_u8(OUT + at));
        }
        if !self.hasty {
            self.page.barrier();
        }
        self.page.store_u32(OUT_CONS, prod);
        machine.notify();
        true
    }

    fn put(&mut self, machine: &Machine, bytes: &[u8]) -> (usize, bool) {
        let mut prod = self.page.load_u32(IN_PROD);
        let cons = self.page.load_u32(IN_CONS);
        self.page.barrier();
        let room = 1024 - prod.wrapping_sub(cons) as usize;
        let put = room.min(bytes.len());
        for &byte in &bytes[..put] {
            self.page.store_u8(IN + prod as usize % 1024, byte);
            prod = prod.wrapping_add(1);
        }
        self.page.barrier();
        self.page.store_u32(IN_PROD, prod);
        machine.notify();
        (put, true)
    }
}
