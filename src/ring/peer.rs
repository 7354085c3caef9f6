// SPDX-License-Identifier: MIT
//! The backend's end of the ring, for every console that has one: the UART's
//! and the ordinary PV console's, whose far end is a guest.
//!
//! # When the far end is notified
//!
//! A far end without the event index is notified after every call that moved bytes,
//! and once after [`RingPeer::new`]. One that supports it
//! ([`RingPeer::enable_event_index`]; only this crate's [`port`](super::port)) is
//! notified when it may be waiting: of room, if it can have found `out` full; of
//! input, if it can have found `in` empty or has set its
//! [threshold](super::layout::INPUT_EVENT).

use super::index::{advanced, filled, passed, position};
use super::layout::{
    CONNECTION, EVENT_INDEX, EVENT_INDEX_MAGIC, IN, IN_CONS, IN_EVENT, IN_PROD, IN_SIZE,
    INPUT_EVENT, OUT, OUT_CONS, OUT_EVENT, OUT_PROD, OUT_SIZE,
};
use super::memory::RingMemory;

/// What a call moved.
#[must_use = "the far end may be waiting for a notification"]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes at the start of the caller's buffer.
    pub bytes: usize,
    /// The far end must be notified.
    pub notify: bool,
}

/// The backend's end of a ring in `M`.
#[derive(Debug)]
pub struct RingPeer<M> {
    memory: M,
    /// Owned, and always equal to what was published.
    out_cons: u32,
    /// Owned, and always equal to what was published.
    in_prod: u32,
    event_index: bool,
    resyncs: u64,
}

impl<M: RingMemory> RingPeer<M> {
    /// Attaches to a ring, continuing where the last backend stopped, and marks it
    /// connected. The caller then takes all bytes from `out` and notifies the far
    /// end once, even if there were none: the last backend may have ended between
    /// publishing an index and notifying.
    pub fn new(memory: M) -> Self {
        let out_cons = memory.load_u32(OUT_CONS);
        let in_prod = memory.load_u32(IN_PROD);
        let mut peer = Self {
            memory,
            out_cons,
            in_prod,
            event_index: false,
            resyncs: 0,
        };
        peer.memory.store_u32(EVENT_INDEX, 0);
        peer.memory.store_u8(CONNECTION, 0);
        let _ = peer.look_out();
        let _ = peer.look_in();
        peer
    }

    /// The page.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Moves bytes from the guest into `buffer`, as many as there are and fit.
    /// When fewer than fit were moved, none was left at the last look.
    pub fn take_out(&mut self, buffer: &mut [u8]) -> Moved {
        let mut taken = Moved::default();
        loop {
            let seen = self.peek_out(&mut buffer[taken.bytes..]);
            taken.notify |= seen.notify;
            if seen.bytes == 0 {
                return taken;
            }
            taken.bytes += seen.bytes;
            taken.notify |= self.release_out(seen.bytes);
        }
    }

    /// Copies bytes from the guest into `buffer`, as many as there are and fit, and
    /// leaves them in the ring: if the backend ends before
    /// [`release_out`](Self::release_out), the next one finds them there.
    pub fn peek_out(&mut self, buffer: &mut [u8]) -> Moved {
        let waiting = self.look_out();
        let bytes = waiting.unwrap_or(0).min(buffer.len());
        let first = position(OUT, OUT_SIZE, self.out_cons);
        let (run, wrapped) = buffer[..bytes].split_at_mut(bytes.min(OUT + OUT_SIZE - first));
        self.memory.load_bytes(first, run);
        self.memory.load_bytes(OUT, wrapped);
        Moved {
            bytes,
            notify: waiting.is_none(),
        }
    }

    /// Frees the room of `bytes` bytes of the last [`peek_out`](Self::peek_out).
    /// Returns whether the far end must be notified.
    #[must_use = "the far end may be waiting for a notification"]
    pub fn release_out(&mut self, bytes: usize) -> bool {
        let first = self.out_cons;
        self.out_cons = self.out_cons_after(bytes.min(OUT_SIZE));
        // The bytes are read before their room is given away, and what the
        // far end did meanwhile is looked at afterwards.
        self.memory.barrier();
        self.memory.store_u32(OUT_CONS, self.out_cons);
        self.memory.barrier();
        let reached = self.memory.load_u32(OUT_PROD).wrapping_sub(first);
        reached as usize >= OUT_SIZE || !self.event_index
    }

    /// Index of the next byte to go to `in`.
    pub fn in_prod(&self) -> u32 {
        self.in_prod
    }

    /// Index of the next byte to take from `out`.
    pub fn out_cons(&self) -> u32 {
        self.out_cons
    }

    /// That index after the release of `bytes` bytes.
    pub fn out_cons_after(&self, bytes: usize) -> u32 {
        advanced(self.out_cons, bytes)
    }

    /// Continues at `out_cons`, which the last backend had recorded but possibly
    /// not published. Returns `false`, and changes nothing, if that index is not
    /// possible: `out_cons` must lie between where the ring stands and what waits
    /// in it. The far end must be notified, as after [`new`](Self::new).
    #[must_use = "bytes that were taken before come again if this is refused"]
    pub fn resume_out(&mut self, out_cons: u32) -> bool {
        let ahead = out_cons.wrapping_sub(self.out_cons) as usize;
        if ahead > self.out_len() {
            return false;
        }
        let _notified_anyway = self.release_out(ahead);
        true
    }

    /// Moves bytes towards the guest, as many as there is room for. When fewer
    /// were moved than offered, there was no room at the last look.
    pub fn put_in(&mut self, bytes: &[u8]) -> Moved {
        let mut put = Moved::default();
        loop {
            let Some(room) = self.look_in() else {
                put.notify = true;
                return put;
            };
            let chunk = &bytes[put.bytes..];
            let chunk = &chunk[..chunk.len().min(room)];
            if chunk.is_empty() {
                return put;
            }
            let first = self.in_prod;
            let at = position(IN, IN_SIZE, first);
            let (run, wrapped) = chunk.split_at(chunk.len().min(IN + IN_SIZE - at));
            self.memory.store_bytes(at, run);
            self.memory.store_bytes(IN, wrapped);
            self.in_prod = advanced(first, chunk.len());
            put.bytes += chunk.len();
            // The bytes are written before the index that covers them, and
            // how far the far end got is looked at afterwards.
            self.memory.barrier();
            self.memory.store_u32(IN_PROD, self.in_prod);
            self.memory.barrier();
            let was_empty = self.memory.load_u32(IN_CONS) == first;
            let asked = passed(self.memory.load_u32(INPUT_EVENT), first, self.in_prod);
            put.notify |= was_empty || asked || !self.event_index;
        }
    }

    /// Bytes from the guest that wait in the ring; 0 if its indices are invalid.
    pub fn out_len(&self) -> usize {
        let prod = self.memory.load_u32(OUT_PROD);
        filled(prod, self.out_cons, OUT_SIZE).unwrap_or(0)
    }

    /// Bytes that [`put_in`](Self::put_in) would take; 0 if the indices are
    /// invalid.
    pub fn in_space(&self) -> usize {
        let cons = self.memory.load_u32(IN_CONS);
        filled(self.in_prod, cons, IN_SIZE).map_or(0, |bytes| IN_SIZE - bytes)
    }

    /// Resyncs because of invalid indices of the far end.
    pub fn resyncs(&self) -> u64 {
        self.resyncs
    }

    /// Announces the event index, with thresholds that stay silent until
    /// [`arm_out`](Self::arm_out) and [`arm_in`](Self::arm_in) set them. The
    /// far end must be notified, and `out` taken from again.
    pub fn enable_event_index(&mut self) {
        self.event_index = true;
        self.memory
            .store_u32(OUT_EVENT, self.out_cons.wrapping_sub(1));
        self.memory
            .store_u32(IN_EVENT, self.memory.load_u32(IN_CONS).wrapping_sub(1));
        self.memory.barrier();
        self.memory.store_u32(EVENT_INDEX, EVENT_INDEX_MAGIC);
    }

    /// Withdraws the event index. The far end must be notified.
    pub fn disable_event_index(&mut self) {
        self.event_index = false;
        self.memory.store_u32(EVENT_INDEX, 0);
    }

    /// Asks for a doorbell when `out` holds `bytes` (1 to 2048, clamped). Returns
    /// whether it holds them already; then no doorbell may come.
    pub fn arm_out(&mut self, bytes: usize) -> bool {
        let bytes = u32::try_from(bytes.clamp(1, OUT_SIZE)).unwrap_or(1);
        // `out_prod` says so when it has moved past this.
        let event = self.out_cons.wrapping_add(bytes - 1);
        self.memory.store_u32(OUT_EVENT, event);
        self.memory.barrier();
        // More than the ring holds is nonsense, and is to be looked at.
        self.memory.load_u32(OUT_PROD).wrapping_sub(self.out_cons) >= bytes
    }

    /// Asks for a doorbell when `in` has room for `bytes` (1 to 1024, clamped).
    /// Returns whether it has that room already; then no doorbell may come.
    pub fn arm_in(&mut self, bytes: usize) -> bool {
        let bytes = bytes.clamp(1, IN_SIZE);
        // `in_cons` gives that room when it has moved past this.
        let left = u32::try_from(IN_SIZE - bytes).unwrap_or(0);
        let event = self.in_prod.wrapping_sub(left).wrapping_sub(1);
        self.memory.store_u32(IN_EVENT, event);
        self.memory.barrier();
        self.in_space() >= bytes
    }

    /// Bytes in `out`, read anew, with the memory order for reading them. `None` if
    /// the far end's index was invalid: this end's was set to it.
    fn look_out(&mut self) -> Option<usize> {
        let prod = self.memory.load_u32(OUT_PROD);
        self.memory.barrier();
        let bytes = filled(prod, self.out_cons, OUT_SIZE);
        if bytes.is_none() {
            self.resyncs += 1;
            self.out_cons = prod;
            self.memory.store_u32(OUT_CONS, prod);
        }
        bytes
    }

    /// Room in `in`, read anew, with the memory order for writing to it. `None` as
    /// for [`look_out`](Self::look_out).
    fn look_in(&mut self) -> Option<usize> {
        let cons = self.memory.load_u32(IN_CONS);
        self.memory.barrier();
        let bytes = filled(self.in_prod, cons, IN_SIZE);
        if bytes.is_none() {
            self.resyncs += 1;
            self.in_prod = cons;
            self.memory.store_u32(IN_PROD, cons);
        }
        Some(IN_SIZE - bytes?)
    }
}
