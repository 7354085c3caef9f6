// SPDX-License-Identifier: MIT
//! The C types and constants of `include/vpl011.h`, under the same names.

use vpl011::ring::port::Traffic;
use vpl011::uart::Counters;
use vpl011::{Outcome, Uart};

use crate::line::Line;

/// Bytes behind [`vpl011_state`].
pub const VPL011_STATE_SIZE: usize = 512;
/// Alignment of [`vpl011_state`].
pub const VPL011_STATE_ALIGN: usize = 8;
/// Bytes of the shared ring page.
pub const VPL011_RING_SIZE: usize = vpl011::ring::layout::PAGE_SIZE;

/// What `vpl011_init` makes: a PL011.
pub const VPL011_PROFILE_PL011: u8 = 0;
/// What `vpl011_init` makes: an SBSA Generic UART.
pub const VPL011_PROFILE_SBSA: u8 = 1;

/// Flag: the backend must be notified.
pub const VPL011_DOORBELL: u8 = 0x01;
/// Flag: `output` is a byte that the guest sent.
pub const VPL011_OUTPUT: u8 = 0x02;
/// Flag: the access must abort.
pub const VPL011_ABORT: u8 = 0x04;
/// Flag: the guest polls for room, and only the backend can make it.
pub const VPL011_STALLED: u8 = 0x08;

/// In an answer of `vpl011_peek`: the guest polls for input, and there is none.
pub const VPL011_POLLED: u64 = 1 << 32;
/// `vpl011_peek` has no answer.
pub const VPL011_UNSEEN: u64 = u64::MAX;
/// In a glance: UARTFR.RXFE, unless the glance is empty.
pub const VPL011_GLANCE_EMPTY: u64 = 1 << 4;

/// The contents of C's storage. It owns nothing outside itself, so C may drop it
/// without a call.
pub(crate) type Device = Uart<Line>;

/// C's storage for one device.
#[repr(C)]
#[derive(Debug)]
pub struct vpl011_state {
    opaque: [u64; VPL011_STATE_SIZE / size_of::<u64>()],
}

const _: () = {
    assert!(size_of::<vpl011_state>() == VPL011_STATE_SIZE);
    assert!(align_of::<vpl011_state>() == VPL011_STATE_ALIGN);
    assert!(size_of::<Device>() <= VPL011_STATE_SIZE);
    assert!(align_of::<Device>() <= VPL011_STATE_ALIGN);
};

/// [`Outcome`], in C's layout.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct vpl011_outcome {
    /// The value read, zero-extended; 0 if not a read.
    pub value: u32,
    /// UARTMIS.
    pub pending: u16,
    /// `VPL011_DOORBELL`, `VPL011_OUTPUT`, `VPL011_ABORT`, `VPL011_STALLED`.
    pub flags: u8,
    /// The byte sent, with `VPL011_OUTPUT`.
    pub output: u8,
    /// The input of `vpl011_peek` until the next outcome.
    pub glance: u64,
}

impl vpl011_outcome {
    /// `outcome`, with the byte that was sent on a line without a ring.
    pub(crate) fn new(outcome: Outcome, output: Option<u8>) -> Self {
        let doorbell = if outcome.doorbell { VPL011_DOORBELL } else { 0 };
        let sent = if output.is_some() { VPL011_OUTPUT } else { 0 };
        let stalled = if outcome.stalled { VPL011_STALLED } else { 0 };
        Self {
            value: outcome.value,
            pending: outcome.pending.bits(),
            flags: doorbell | sent | stalled,
            output: output.unwrap_or(0),
            glance: outcome.glance.bits(),
        }
    }
}

/// [`Counters`], in C's layout.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct vpl011_counters {
    /// Bytes that the backend took from the guest.
    pub bytes_out: u64,
    /// Bytes that the backend gave to the guest.
    pub bytes_in: u64,
    /// Doorbells requested.
    pub doorbells: u64,
    /// Resyncs because of invalid indices of the backend.
    pub resyncs: u64,
    /// Bytes that the guest wrote when all storage was full.
    pub dropped: u64,
    /// Characters that overran the receive FIFO.
    pub overruns: u64,
}

impl vpl011_counters {
    pub(crate) fn new(counters: Counters, traffic: Traffic) -> Self {
        Self {
            bytes_out: traffic.bytes_out,
            bytes_in: traffic.bytes_in,
            doorbells: counters.doorbells,
            resyncs: traffic.resyncs,
            dropped: counters.dropped,
            overruns: counters.overruns,
        }
    }
}
