// SPDX-License-Identifier: MIT
//! The environment of the ring: the hypervisor's lock, the event channel, the
//! guest's interrupt.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::{Mutex, MutexGuard, Notify};
use vpl011::backend::Backend as _;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::layout::{IN, IN_SIZE, OUT, OUT_SIZE};
use vpl011::ring::memory::RingMemory;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Outcome, Uart};

use crate::page::{Barriers, Shared};

const IMSC: u16 = 0x038;
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;

/// Bytes at each end of a buffer that a model may write.
const WRITTEN: usize = 6;

/// A device on a ring, and the signals that wake either side.
pub struct Machine {
    page: Shared,
    uart: Mutex<Uart<RingPort<Shared>>>,
    /// The backend sleeps on this. Like an event channel it stays pending.
    pub doorbell: Notify,
    /// The guest sleeps on this.
    pub interrupt: Notify,
    rings: AtomicUsize,
    events: AtomicUsize,
    bare: bool,
}

/// The indices at a model's start.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// `out_prod` and `out_cons`.
    pub out: (u32, u32),
    /// `in_prod` and `in_cons`.
    pub input: (u32, u32),
    /// The guest uses its end of the ring directly, without a device: any
    /// notification interrupts it. Then one step reads what a device would deliver
    /// byte by byte, which would be too many steps for a model.
    pub bare: bool,
}

impl Start {
    /// Both buffers empty, at the start of their storage; indices are not 0.
    pub const EMPTY: Self = Self {
        out: (2048, 2048),
        input: (1024, 1024),
        bare: false,
    };

    /// `out` with room for so many bytes, of which the first goes to the end of the
    /// storage.
    #[must_use]
    pub const fn room(bytes: u32) -> Self {
        Self {
            out: (4095, 2047 + bytes),
            ..Self::EMPTY
        }
    }

    /// The same for `in`, and a guest without a device.
    #[must_use]
    pub const fn input_room(bytes: u32) -> Self {
        Self {
            input: (2047, 1023 + bytes),
            bare: true,
            ..Self::EMPTY
        }
    }

    /// The page's device with these indices, by a snapshot (src/snapshot.rs: the
    /// indices are at 150).
    fn make(self, page: Shared) -> Uart<RingPort<Shared>> {
        let mut snapshot = Uart::new(RingPort::new(&AtomicPage::new())).save().0;
        let words = [self.out.0, self.out.1, self.input.1, self.input.0];
        for (word, at) in words.into_iter().zip((150..).step_by(4)) {
            snapshot[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        Uart::restore(page, &snapshot).expect("indices that can be")
    }
}

/// The bytes at both ends of a buffer, each with whether it waits to be read.
fn slots(
    base: usize,
    size: usize,
    (prod, cons): (u32, u32),
) -> impl Iterator<Item = (usize, bool)> {
    let waits = move |at: usize| {
        let ahead = (at + size - cons as usize % size) % size;
        ahead < prod.wrapping_sub(cons) as usize
    };
    let ends = (0..WRITTEN).chain(size - WRITTEN..size);
    ends.map(move |at| (base + at, waits(at)))
}

impl Machine {
    /// A machine in that state.
    #[must_use]
    pub fn new(start: Start, barriers: Barriers) -> Self {
        let page = AtomicPage::new();
        page.store_u32(OUT_PROD, start.out.0);
        page.store_u32(OUT_CONS, start.out.1);
        page.store_u32(IN_PROD, start.input.0);
        page.store_u32(IN_CONS, start.input.1);
        // Bytes that wait already differ from those written later.
        for offset in 0..3072 {
            page.store_u8(offset, b'.');
        }
        let written = slots(IN, IN_SIZE, start.input).chain(slots(OUT, OUT_SIZE, start.out));
        let page = Shared::new(&page, written, barriers);
        Self {
            uart: Mutex::new(start.make(page.clone())),
            page,
            doorbell: Notify::new(),
            interrupt: Notify::new(),
            rings: AtomicUsize::new(0),
            events: AtomicUsize::new(0),
            bare: start.bare,
        }
    }

    /// The ring page.
    pub fn page(&self) -> Shared {
        self.page.clone()
    }

    /// Enters the device under the lock; rings its doorbell afterwards.
    pub fn enter(&self, entry: impl FnOnce(&mut Uart<RingPort<Shared>>) -> Outcome) -> Outcome {
        let outcome = entry(&mut self.uart());
        self.ring_if(outcome.doorbell);
        outcome
    }

    /// Enters only the guest's end of the ring, without the registers.
    pub fn enter_port<T>(&self, entry: impl FnOnce(&mut RingPort<Shared>) -> (T, bool)) -> T {
        let (result, doorbell) = entry(self.uart().backend_mut());
        self.ring_if(doorbell);
        result
    }

    /// The guest's read of a register.
    pub fn read(&self, offset: u16) -> u32 {
        self.enter(|uart| uart.read(Access::new(offset, Width::Word)))
            .value
    }

    /// The guest's write to a register.
    pub fn write(&self, offset: u16, value: u32) {
        let _ = self.enter(|uart| uart.write(Access::new(offset, Width::Word), value));
    }

    /// The level of the interrupt line.
    pub fn line(&self) -> bool {
        !self.uart().pending().is_empty()
    }

    /// The guest unmasks these interrupts.
    pub fn unmask(&self, interrupts: u32) {
        self.write(IMSC, interrupts);
    }

    /// The backend notifies: an entry like any other, on the backend's CPU.
    pub fn notify(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
        if self.bare {
            self.enter_port(|port| ((), port.look()));
            self.interrupt.notify();
            return;
        }
        let outcome = self.enter(Uart::backend_event);
        if !outcome.pending.is_empty() {
            self.interrupt.notify();
        }
    }

    /// How often the doorbell rang.
    pub fn rings(&self) -> usize {
        self.rings.load(Ordering::Relaxed)
    }

    /// How often the backend notified.
    pub fn events(&self) -> usize {
        self.events.load(Ordering::Relaxed)
    }

    fn uart(&self) -> MutexGuard<'_, Uart<RingPort<Shared>>> {
        self.uart.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring_if(&self, doorbell: bool) {
        if doorbell {
            self.rings.fetch_add(1, Ordering::Relaxed);
            self.doorbell.notify();
        }
    }
}
