// SPDX-License-Identifier: MIT
//! What the UART's line is made of inside the hypervisor.

use vpl011::backend::{Backend, Sent, Traffic};
use vpl011::ring::port::RingPort;

use crate::memory::Page;

/// A ring shared with a backend, or the hypervisor's own console.
#[derive(Debug)]
pub enum Line {
    /// A backend in another domain.
    Ring(RingPort<Page>),
    /// The hypervisor, which takes each byte from the outcome of the access
    /// that sent it, and gives bytes to the device itself.
    Console(Console),
}

/// Room for the one byte that an access can send.
#[derive(Debug, Default)]
pub struct Console {
    sent: Option<u8>,
    bytes_out: u64,
}

impl Line {
    /// The byte sent since the last call, on a line without a ring.
    pub(crate) fn take_output(&mut self) -> Option<u8> {
        match self {
            Self::Ring(_) => None,
            Self::Console(console) => console.sent.take(),
        }
    }
}

impl Backend for Line {
    #[inline]
    fn try_send(&mut self, byte: u8) -> Sent {
        match self {
            Self::Ring(ring) => ring.try_send(byte),
            Self::Console(console) => {
                if console.sent.is_some() {
                    return Sent::Full;
                }
                console.sent = Some(byte);
                console.bytes_out += 1;
                Sent::Quiet
            }
        }
    }

    #[inline]
    fn try_recv(&mut self) -> Option<u8> {
        match self {
            Self::Ring(ring) => ring.try_recv(),
            Self::Console(_) => None,
        }
    }

    #[inline]
    fn acknowledge(&mut self) -> bool {
        match self {
            Self::Ring(ring) => ring.acknowledge(),
            Self::Console(_) => false,
        }
    }

    #[inline]
    fn has_input(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.has_input(),
            Self::Console(_) => false,
        }
    }

    fn event(&mut self) -> bool {
        match self {
            Self::Ring(ring) => ring.event(),
            Self::Console(_) => false,
        }
    }

    fn traffic(&self) -> Traffic {
        match self {
            Self::Ring(ring) => ring.traffic(),
            Self::Console(console) => {
                Traffic { bytes_out: console.bytes_out, ..Traffic::default() }
            }
        }
    }
}
