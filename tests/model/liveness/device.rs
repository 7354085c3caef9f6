// SPDX-License-Identifier: MIT
//! A device and its sender: all that the property uses of the crate.

use std::collections::VecDeque;

use conformance::family::Scene;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::layout::{IN_CONS, IN_SIZE, PAGE_SIZE};
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::{Access, Backend, Outcome, Profile, Uart};

use crate::bench::{Wire, own};

/// A page that one run after the other uses.
pub(crate) type Page = &'static AtomicPage;

/// Who sends, and over what line.
pub(crate) trait FarEnd: Sized {
    /// The device's end of the line.
    type Line: Backend;

    /// Both ends of a line that is not used yet.
    fn attach(page: Page) -> (Self, Self::Line);

    /// Puts into the line what it has room for. Whether to notify.
    fn put(&mut self, line: &mut Self::Line, bytes: &mut VecDeque<u8>) -> bool;

    /// Whether it may put more without a doorbell.
    fn sees_room(&self, _line: &Self::Line) -> bool {
        false
    }
}

/// A backend as old as the ring: it notifies of all that it puts, and looks
/// for room when it is told.
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

/// vconsoled: it notifies of what it puts into an empty ring, and asks to be
/// told of room.
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

/// Characters that wait there at most.
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
    /// What the far end has still to put.
    bytes: VecDeque<u8>,
    /// It has put bytes and not notified of them yet.
    notifies: bool,
    /// The doorbell rang since it last ran.
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
            // It has attached.
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
