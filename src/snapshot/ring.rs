// SPDX-License-Identifier: MIT
//! The guest's end of a ring in a snapshot: its private indices. Those of the
//! backend are what was last accepted of them, and are looked at afresh when
//! next needed.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::invalid::{Invalid, check, pack, unpack};
use super::persistent::Persistent;
use crate::ring::index::filled;
use crate::ring::layout::{IN_CONS, IN_SIZE, OUT_PROD, OUT_SIZE};
use crate::ring::memory::RingMemory;
use crate::ring::port::{RingPort, Traffic};

/// The state of a [`RingPort`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RingState {
    out_prod: U32,
    out_cons: U32,
    in_cons: U32,
    in_prod: U32,
    flags: u8,
    bytes_out: U64,
    bytes_in: U64,
    resyncs: U64,
}

impl<M: RingMemory> Persistent for RingPort<M> {
    const KIND: u8 = 1;

    type Ground = M;
    type State = RingState;

    fn save(&self) -> RingState {
        let traffic = self.traffic();
        RingState {
            out_prod: self.out_prod.into(),
            out_cons: self.out_cons.into(),
            in_cons: self.in_cons.into(),
            in_prod: self.in_prod.into(),
            flags: pack([self.in_blocked, self.event_index]),
            bytes_out: traffic.bytes_out.into(),
            bytes_in: traffic.bytes_in.into(),
            resyncs: traffic.resyncs.into(),
        }
    }

    fn restore(memory: M, state: &RingState) -> Result<Self, Invalid> {
        let [out_prod, out_cons] = [state.out_prod.get(), state.out_cons.get()];
        let [in_prod, in_cons] = [state.in_prod.get(), state.in_cons.get()];
        let out = filled(out_prod, out_cons, OUT_SIZE);
        check(out.is_some(), "indices of out")?;
        let input = filled(in_prod, in_cons, IN_SIZE);
        check(input.is_some(), "indices of in")?;
        let [in_blocked, event_index] = unpack(state.flags, "ring flags")?;
        memory.store_u32(OUT_PROD, out_prod);
        memory.store_u32(IN_CONS, in_cons);
        Ok(Self {
            memory,
            out_prod,
            out_cons,
            in_cons,
            in_cons_published: in_cons,
            in_prod,
            in_blocked,
            event_index,
            out_counted: out_prod,
            traffic: Traffic {
                bytes_out: state.bytes_out.get(),
                bytes_in: state.bytes_in.get(),
                resyncs: state.resyncs.get(),
            },
        })
    }
}
