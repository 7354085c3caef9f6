// SPDX-License-Identifier: MIT
//! The daemon's end of a ring: the connection to it, what was moved, and how
//! much may be moved in a slice.

pub(crate) mod doorbell;
mod line_rate;

use std::time::Instant;

use vpl011::ring::peer::RingPeer;
use xen_io::{Page, Port};

use crate::guest::source::Source;

/// Bytes a console may move each way in a service slice.
pub(crate) const BUDGET: usize = 16 * 1024;

/// What a console wants after its slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something happens.
    Wait,
    /// Another slice.
    Again,
    /// A slice at that time.
    At(Instant),
}

impl Next {
    /// The time, if it is one.
    pub(crate) fn at(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::Wait | Self::Again => None,
        }
    }
}

/// What a console has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) from_guest: u64,
    pub(crate) to_guest: u64,
    pub(crate) doorbells_in: u64,
    pub(crate) doorbells_out: u64,
    /// Input that a lossy console's guest had no room for.
    pub(crate) input_lost: u64,
    /// Of rings that were replaced.
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
