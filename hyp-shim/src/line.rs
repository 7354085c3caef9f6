// SPDX-License-Identifier: MIT
//! The UART's line inside the hypervisor.

use heapless::Deque;
use vpl011::backend::{Backend, Sent};
use vpl011::ring::port::{RingPort, Traffic};

use crate::memory::Page;

/// Characters typed ahead of a guest on the hypervisor's console: room for a pasted
/// line, which arrives faster than a guest reads it.
const TYPED_AHEAD: usize = 128;

/// A ring shared with a backend, or the hypervisor's own console.
#[derive(Debug)]
pub enum Line {
    /// A backend in another domain.
    Ring(RingPort<Page>),
    /// The hypervisor, which takes each sent byte from the outcome of the access.
    Console(Console),
}

/// Room for the one byte that an access can send, and for typed characters.
#[derive(Debug, Default)]
pub struct Console {
    sent: Option<u8>,
    typed: Deque<u8, TYPED_AHEAD>,
    traffic: Traffic,
}

impl Line {
    /// The byte sent since the last call, on a line without a ring.
    pub(crate) fn take_output(&mut self) -> Option<u8> {
        match self {
            Self::Ring(_) => None,
            Self::Console(console) => console.sent.take(),
        }
    }

    /// The counts so far.
    pub(crate) fn traffic(&self) -> Traffic {
        match self {
            Self::Ring(ring) => ring.traffic(),
            Self::Console(console) => console.traffic,
        }
    }

    /// A character typed at the hypervisor's console; lost when there is no
    /// room, or on a line with a ring.
    pub(crate) fn type_ahead(&mut self, character: u8) {
        if let Self::Console(console) = self {
            // When the queue is full, the new character is lost, as in the receive
            // FIFO.
            let _ = console.typed.push_back(character);
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
                console.traffic.bytes_out += 1;
                Sent::Quiet
            }
        }
    }

    #[inline]
    fn try_recv(&mut self) -> Option<u8> {
        match self {
            Self::Ring(ring) => ring.try_recv(),
            Self::Console(console) => {
                let typed = console.typed.pop_front()?;
                console.traffic.bytes_in += 1;
                Some(typed)
            }
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
    fn waiting(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.waiting(),
            Self::Console(console) => console.typed.len(),
        }
    }

    fn set_line_control(&mut self, lcr: u32) {
        if let Self::Ring(ring) = self {
            ring.set_line_control(lcr);
        }
    }

    fn look(&mut self) -> bool {
        match self {
            Self::Ring(ring) => ring.look(),
            Self::Console(_) => false,
        }
    }
}
