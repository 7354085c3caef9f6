// SPDX-License-Identifier: MIT
//! The daemon's end of a ring: its connection, its counters, and the budget of a
//! slice.

pub(crate) mod doorbell;
mod line_rate;

use std::time::Instant;

use vpl011::ring::peer::RingPeer;
use xen_io::{Page, Port};

use crate::guest::source::Source;

/// Bytes that a console may move each way in a service slice.
pub(crate) const BUDGET: usize = 16 * 1024;

/// When a console needs its next slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At the next event.
    Wait,
    /// Immediately.
    Again,
    /// At that time.
    At(Instant),
}

impl Next {
    /// The time, if there is one.
    pub(crate) fn at(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::Wait | Self::Again => None,
        }
    }
}

/// Counters of a console.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) from_guest: u64,
    pub(crate) to_guest: u64,
    pub(crate) doorbells_in: u64,
    pub(crate) doorbells_out: u64,
    /// Input that a lossy console discarded because the ring was full.
    pub(crate) input_lost: u64,
    /// Resyncs of rings that were replaced.
    pub(crate) resyncs: u64,
}

/// A connected ring.
pub(crate) struct Link {
    pub(crate) source: Source,
    pub(crate) ring_id: u32,
    pub(crate) ring: RingPeer<Page>,
    pub(crate) port: Port,
}

impl Link {
    pub(crate) fn new(source: Source, ring: RingPeer<Page>, port: Port) -> Self {
        Self {
            ring_id: source.ring_id(),
            source,
            ring,
            port,
        }
    }
}
