// SPDX-License-Identifier: MIT
//! A device and its sender: the only part of the property that uses the crate.

use std::collections::VecDeque;

use conformance::family::Scene;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::layout::{IN_CONS, IN_SIZE, PAGE_SIZE};
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::{Access, Backend, Outcome, Profile, Uart};

use crate::bench::{Wire, own};

/// A page, used by one run after the other.
pub(crate) type Page = &'static AtomicPage;

/// A sender and its kind of line.
pub(crate) trait FarEnd: Sized {
    /// The device's end of the line.
    type Line: Backend;

    /// Both ends of an unused line.
    fn attach(page: Page) -> (Self, Self::Line);

    /// Puts as many bytes into the line as fit; returns whether to notify.
    fn put(&mut self, line: &mut Self::Line, bytes: &mut VecDeque<u8>) -> bool;

    /// Whether it may put more without a doorbell.
    fn sees_room(&self, _line: &Self::Line) -> bool {
        false
    }
}

/// A backend of the original protocol: it notifies of every put, and checks for
/// room at a doorbell.
pub(crate) struct Legacy(RingPeer<Page>);

impl FarEnd for Legacy {
    type Line = RingPort<Page>;

    fn attach(page: Page) -> (Self, Self::Line) {
        (Self(RingPeer::new(page)), RingPort::new(page))
    }

    fn put(&mut self, _line: &mut Self::Line, bytes: &mut VecDeque<u8>) -> bool {
        let put = self.0.put_in(bytes.make_contiguous());
        bytes.drain(..put.bytes);
        put.notify
    }
}

/// vconsoled: it notifies when it puts bytes into an empty ring, and requests a
/// doorbell for room.
pub(crate) struct EventIndex(RingPeer<Page>);

impl FarEnd for EventIndex {
    type Line = RingPort<Page>;

    fn attach(page: Page) -> (Self, Self::Line) {
        let port = RingPort::new(page);
        let mut peer = RingPeer::new(page);
        peer.enable_event_index();
        (Self(peer), port)
    }

    fn put(&mut self, _line: &mut Self::Line, bytes: &mut VecDeque<u8>) -> bool {
        let mut notify = false;
        loop {
            let put = self.0.put_in(bytes.make_contiguous());
            bytes.drain(..put.bytes);
            notify |= put.notify;
            if bytes.is_empty() || !self.0.arm_in(IN_SIZE / 2) {
                return notify;
            }
        }
    }
}

/// Xen's console, which has no ring: characters wait in the hypervisor.
pub(crate) struct Console;

/// The most characters that wait there.
const TYPED_AHEAD: usize = 128;

impl FarEnd for Console {
    type Line = Wire;

    fn attach(_page: Page) -> (Self, Self::Line) {
        (Self, Wire::default())
    }

    fn put(&mut self, line: &mut Self::Line, bytes: &mut VecDeque<u8>) -> bool {
        let some = bytes.len().min(TYPED_AHEAD - line.input.len());
        line.input.extend(bytes.drain(..some));
        some > 0
    }

    fn sees_room(&self, line: &Self::Line) -> bool {
        line.input.len() < TYPED_AHEAD
    }
}

/// A device, its line, and the far end.
pub(crate) struct Device<F: FarEnd> {
    uart: Uart<F::Line>,
    far_end: F,
    /// The bytes that the far end has not put yet.
    bytes: VecDeque<u8>,
    /// It has put bytes and not notified yet.
    notifies: bool,
    /// The doorbell rang since the far end last ran.
    rung: bool,
    /// The level of the interrupt line.
    line: bool,
}

impl<F: FarEnd> Device<F> {
    pub(crate) fn new(page: Page, profile: Profile) -> Self {
        for offset in (IN_CONS..PAGE_SIZE).step_by(4) {
            page.store_u32(offset, 0);
        }
        let (far_end, line) = F::attach(page);
        Self {
            uart: Uart::with_profile(profile, line),
            far_end,
            bytes: VecDeque::new(),
            // For its attachment.
            notifies: true,
            rung: false,
            line: false,
        }
    }

    fn put(&mut self) {
        let line = self.uart.backend_mut();
        self.notifies |= self.far_end.put(line, &mut self.bytes);
    }

    fn observe(&mut self, outcome: Outcome) -> u32 {
        self.line = !outcome.pending.is_empty();
        self.rung |= outcome.doorbell;
        outcome.value
    }
}

impl<F: FarEnd> Scene for Device<F> {
    fn read(&mut self, offset: u16, width: conformance::Width) -> u32 {
        let outcome = self.uart.read(Access::new(offset, own(width)));
        self.observe(outcome)
    }

    fn write(&mut self, offset: u16, width: conformance::Width, value: u32) {
        let outcome = self.uart.write(Access::new(offset, own(width)), value);
        self.observe(outcome);
    }

    fn line(&mut self) -> bool {
        self.line
    }

    fn send(&mut self, characters: impl Iterator<Item = u8>) {
        self.bytes.extend(characters);
        self.put();
    }

    fn is_wanted(&self) -> bool {
        let more = !self.bytes.is_empty() && self.far_end.sees_room(self.uart.backend());
        self.notifies || self.rung || more
    }

    fn run_far_end(&mut self) {
        if std::mem::take(&mut self.notifies) {
            let outcome = self.uart.backend_event();
            self.observe(outcome);
        } else {
            self.rung = false;
            self.put();
        }
    }
}
