// SPDX-License-Identifier: MIT
//! The guest's end of the ring: a [`Backend`] for the UART.
//!
//! The port keeps private copies of the indices it owns (`out_prod`,
//! `in_cons`) and of the last values it accepted of the backend's
//! (`out_cons`, `in_prod`). While the copies show room, a byte sent touches the
//! page twice: the byte and `out_prod`.
//!
//! # When the backend is notified
//!
//! - Of output, when `out` goes from empty to non-empty by the port's copies. A
//!   backend signals each time it has published `out_cons`, and once when it
//!   attaches; [`look`](Backend::look) then reads the indices again and notifies it
//!   again if bytes remain. So bytes that the backend did not see are always
//!   followed by a doorbell, and a backend that does not check again after
//!   publishing loses none.
//! - Of room in `in`, when the backend found it full and half of it is free
//!   again.
//! - A backend that publishes the [event index](super::layout::EVENT_INDEX) is
//!   notified when an index moves past its threshold, and at no other time.
//!
//! # When the backend signals
//!
//! A backend that publishes the event index signals input when `in` was empty. The
//! UART may leave bytes there, if it has no room for them, and still need a signal
//! for more: [`look`](Backend::look) then publishes a threshold of this end,
//! [`INPUT_EVENT`], and a backend signals when `in_prod` moves past it.

use super::index::{filled, passed, position};
use super::layout::{
    EVENT_INDEX, EVENT_INDEX_MAGIC, IN, IN_CONS, IN_EVENT, IN_PROD, IN_SIZE, INPUT_EVENT,
    LINE_CONTROL, OUT, OUT_CONS, OUT_EVENT, OUT_PROD, OUT_SIZE,
};
use super::memory::RingMemory;
use crate::backend::{Backend, Sent};

/// Counters of a port since it was made, modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes taken from the guest.
    pub bytes_out: u64,
    /// Bytes given to the guest.
    pub bytes_in: u64,
    /// Resyncs because of invalid indices of the backend.
    pub resyncs: u64,
}

/// The guest's end of a ring in `M`.
#[derive(Debug)]
pub struct RingPort<M> {
    pub(crate) memory: M,
    /// Owned, and always equal to what was published.
    pub(crate) out_prod: u32,
    /// The backend's, as last accepted.
    pub(crate) out_cons: u32,
    /// Owned: the next byte to take. Published by `acknowledge`.
    pub(crate) in_cons: u32,
    pub(crate) in_cons_published: u32,
    /// The backend's, as last accepted.
    pub(crate) in_prod: u32,
    /// The backend found `in` full and was not notified of room since.
    pub(crate) in_blocked: bool,
    /// The backend had announced the event index when it was last read.
    pub(crate) event_index: bool,
    /// `out_prod` up to which `traffic.bytes_out` has counted.
    pub(crate) out_counted: u32,
    pub(crate) traffic: Traffic,
}

impl<M: RingMemory> RingPort<M> {
    /// Takes the guest's end of a ring that no guest has used: the indices
    /// this end owns start at 0.
    pub fn new(memory: M) -> Self {
        memory.store_u32(OUT_PROD, 0);
        memory.store_u32(IN_CONS, 0);
        Self {
            memory,
            out_prod: 0,
            out_cons: 0,
            in_cons: 0,
            in_cons_published: 0,
            in_prod: 0,
            in_blocked: false,
            event_index: false,
            out_counted: 0,
            traffic: Traffic::default(),
        }
    }

    /// The page.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// What was counted so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            bytes_out: self.bytes_out(),
            ..self.traffic
        }
    }

    #[inline]
    fn has_room(&self) -> bool {
        (self.out_prod.wrapping_sub(self.out_cons) as usize) < OUT_SIZE
    }

    /// Bytes taken from the guest, with those not counted yet.
    #[inline]
    fn bytes_out(&self) -> u64 {
        let uncounted = self.out_prod.wrapping_sub(self.out_counted);
        self.traffic.bytes_out.wrapping_add(uncounted.into())
    }

    /// Reads `out_cons` again; returns whether there is room in `out`.
    #[cold]
    #[inline(never)]
    fn look_out(&mut self) -> bool {
        self.traffic.bytes_out = self.bytes_out();
        self.out_counted = self.out_prod;
        // The backend signals when it makes room in a ring it saw full: it
        // must see every byte before this end concludes that it is full.
        self.memory.barrier();
        self.out_cons = self.memory.load_u32(OUT_CONS);
        if let Some(bytes) = filled(self.out_prod, self.out_cons, OUT_SIZE) {
            return bytes < OUT_SIZE;
        }
        self.traffic.resyncs = self.traffic.resyncs.wrapping_add(1);
        self.out_prod = self.out_cons;
        self.out_counted = self.out_cons;
        self.memory.store_u32(OUT_PROD, self.out_prod);
        true
    }

    /// Reads `in_prod` again.
    fn look_in(&mut self) {
        self.in_prod = self.memory.load_u32(IN_PROD);
        // The bytes are read after the index that covers them.
        self.memory.barrier();
        if filled(self.in_prod, self.in_cons, IN_SIZE).is_none() {
            self.traffic.resyncs = self.traffic.resyncs.wrapping_add(1);
            self.in_cons = self.in_prod;
            self.in_cons_published = self.in_prod;
            self.memory.store_u32(IN_CONS, self.in_cons);
        }
    }

    /// Whether the backend still publishes the event index.
    fn check_event_index(&mut self) -> bool {
        self.event_index = self.memory.load_u32(EVENT_INDEX) == EVENT_INDEX_MAGIC;
        self.event_index
    }

    /// Whether publishing `new` after `old` moved past the threshold at `event`;
    /// also when the thresholds are gone, because then the backend's last read is
    /// unknown.
    #[inline]
    fn past_threshold(&mut self, event: usize, old: u32, new: u32) -> bool {
        // The index is published before the threshold is read, as the backend
        // publishes the threshold before it reads the index.
        self.memory.barrier();
        !self.check_event_index() || passed(self.memory.load_u32(event), old, new)
    }
}

impl<M: RingMemory> Backend for RingPort<M> {
    #[inline]
    fn try_send(&mut self, byte: u8) -> Sent {
        if !self.has_room() && !self.look_out() {
            return Sent::Full;
        }
        let old = self.out_prod;
        let new = old.wrapping_add(1);
        self.memory.store_u8(position(OUT, OUT_SIZE, old), byte);
        self.memory.barrier();
        self.memory.store_u32(OUT_PROD, new);
        self.out_prod = new;
        let ring = if self.event_index {
            self.past_threshold(OUT_EVENT, old, new)
        } else {
            old == self.out_cons
        };
        if ring { Sent::Ring } else { Sent::Quiet }
    }

    #[inline]
    fn try_recv(&mut self) -> Option<u8> {
        if self.waiting() == 0 {
            self.look_in();
            if self.waiting() == 0 {
                return None;
            }
        }
        let byte = self.memory.load_u8(position(IN, IN_SIZE, self.in_cons));
        self.in_cons = self.in_cons.wrapping_add(1);
        Some(byte)
    }

    fn acknowledge(&mut self) -> bool {
        let (old, new) = (self.in_cons_published, self.in_cons);
        if old == new {
            return false;
        }
        let taken = u64::from(new.wrapping_sub(old));
        self.traffic.bytes_in = self.traffic.bytes_in.wrapping_add(taken);
        // The bytes are read before their room is given away.
        self.memory.barrier();
        self.memory.store_u32(IN_CONS, new);
        self.in_cons_published = new;
        // Either the backend's last look at `in_cons` saw `new`, or this look
        // at `in_prod` sees how far the backend went with `old`.
        self.memory.barrier();
        self.look_in();
        if self.event_index {
            return self.past_threshold(IN_EVENT, old, new);
        }
        self.in_blocked |= self.in_prod.wrapping_sub(old) as usize >= IN_SIZE;
        let half_free = self.in_prod.wrapping_sub(self.in_cons) as usize <= IN_SIZE / 2;
        let ring = self.in_blocked && half_free;
        self.in_blocked &= !ring;
        ring
    }

    #[inline]
    fn waiting(&self) -> usize {
        self.in_prod.wrapping_sub(self.in_cons) as usize
    }

    fn set_line_control(&mut self, lcr: u32) {
        self.memory.store_u32(LINE_CONTROL, lcr);
    }

    fn look(&mut self) -> bool {
        // Should anyone have scribbled over the indices this end owns, no one
        // waits on the nonsense for ever.
        self.memory.store_u32(OUT_PROD, self.out_prod);
        self.memory.store_u32(IN_CONS, self.in_cons_published);
        let knew_index = self.event_index;
        let knows_index = self.check_event_index();
        self.look_out();
        let known = self.in_prod;
        self.look_in();
        if self.in_prod == known && self.waiting() > 0 {
            // Nothing new, and the UART may rest on that. Whoever moves `in_prod` on sees this threshold, or is seen here.
            self.memory.store_u32(INPUT_EVENT, self.in_prod);
            self.memory.barrier();
            self.look_in();
        }
        // With the event index it is the backend that looks again; but one
        // that has just announced it may have done so before the last byte.
        !(knew_index && knows_index) && self.out_prod != self.out_cons
    }
}
