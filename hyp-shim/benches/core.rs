// SPDX-License-Identifier: MIT
//! Accesses to the device alone, as a hypervisor makes them over the C ABI, for
//! an instrument that counts instructions: `cargo xtask bench core`. The cases
//! of `crate_` use the crate as a VMM does, on a line that is a pipe.
//!
//! `core` lists the cases; `core CASE COUNT` does one so many times. What all
//! of it costs beside that is the same for every count of as many digits.

#![expect(
    clippy::cast_possible_truncation,
    reason = "offsets and bits of registers are small"
)]

use std::hint::black_box;
use std::ptr::{from_mut, null_mut};
use std::sync::atomic::AtomicU64;

use hyp_shim::abi::{VPL011_PROFILE_PL011, VPL011_UNSEEN, vpl011_outcome, vpl011_state};
use hyp_shim::entry::{vpl011_access, vpl011_init, vpl011_peek, vpl011_ring_event, vpl011_send};
use vpl011::backend::{Backend, Sent};
use vpl011::trap::{Access, Direction, Width};
use vpl011::{Outcome, Uart};

/// Offsets of the TRM (3.2), and of the ring's page (Xen
/// `public/io/console.h`, and the event index in its tail).
const DR: u64 = 0x00;
const RSR: u64 = 0x04;
const FR: u64 = 0x18;
const LCR_H: u64 = 0x2C;
const IMSC: u64 = 0x38;
const RIS: u64 = 0x3C;
const MIS: u64 = 0x40;
const ICR: u64 = 0x44;
const FEN: u64 = 0x10;
const TXIM: u64 = 0x20;
const RX_RT: u64 = 0x50;
const IN_SIZE: u32 = 1024;
const IN_PROD: usize = 3076;
const EVENT_INDEX: usize = 3584;
const EVENT_INDEX_MAGIC: u32 = 0x5645_4958;
const OUT_EVENT: usize = 3588;

/// A data abort's syndrome with ISV, for an access of 32 bits.
const READ: u64 = 0x24 << 26 | 1 << 24 | 2 << 22;
const WRITE: u64 = READ | 1 << 6;

/// A line that takes everything, and gives what there is.
#[derive(Default)]
struct Pipe {
    waiting: usize,
    taken: u64,
}

impl Backend for Pipe {
    fn try_send(&mut self, _byte: u8) -> Sent {
        self.taken += 1;
        Sent::Quiet
    }

    fn try_recv(&mut self) -> Option<u8> {
        self.waiting = self.waiting.checked_sub(1)?;
        Some(b'x')
    }

    fn waiting(&self) -> usize {
        self.waiting
    }
}

/// The crate, and a driver that has seen the newest outcome.
struct Crate {
    uart: Uart<Pipe>,
    newest: Outcome,
    /// What the driver has still to read of what it was interrupted for.
    left: u32,
}

impl Crate {
    /// With its FIFOs and both input interrupts on.
    fn new() -> Self {
        let mut this = Self {
            uart: Uart::new(Pipe::default()),
            newest: Outcome::default(),
            left: 0,
        };
        this.write(LCR_H, FEN);
        this.write(IMSC, RX_RT);
        this
    }

    fn read(&mut self, offset: u64) -> u32 {
        self.newest = self.uart.read(black_box(access(offset)));
        self.newest.value
    }

    fn write(&mut self, offset: u64, value: u64) {
        let (access, value) = (black_box(access(offset)), black_box(value as u32));
        self.newest = self.uart.write(access, value);
    }

    fn glance(&self, offset: u64) {
        let access = black_box(access(offset));
        black_box(self.newest.glance.peek(Direction::Read, access, 0));
    }

    /// One byte of those that come 16 at a time: the event and the status read
    /// once, then UARTFR and UARTDR for each.
    fn receive(&mut self) {
        if self.left == 0 {
            self.uart.backend_mut().waiting = 16;
            self.newest = self.uart.backend_event();
            assert_eq!(self.read(MIS), RX_RT as u32);
            self.left = 16;
        }
        self.left -= 1;
        black_box(self.read(FR));
        assert_eq!(self.read(DR), u32::from(b'x'));
    }
}

fn access(offset: u64) -> Access {
    Access::new(offset as u16, Width::Word)
}

#[repr(C, align(4096))]
struct Page([u8; 4096]);

struct Device {
    state: vpl011_state,
    page: Page,
    newest: vpl011_outcome,
    /// The newest outcome's, where cases begin to poll.
    glance: AtomicU64,
}

impl Device {
    /// After reset, with its FIFOs enabled, on an empty ring. `None` is the
    /// hypervisor's own console.
    fn new(ring: bool) -> Box<Self> {
        let mut device = Box::new(Self {
            // SAFETY: any contents are a `vpl011_state` that is not made yet.
            state: unsafe { std::mem::zeroed() },
            page: Page([0; 4096]),
            newest: vpl011_outcome::default(),
            glance: AtomicU64::new(0),
        });
        let page = if ring {
            from_mut(&mut device.page).cast()
        } else {
            null_mut()
        };
        // SAFETY: the page is aligned, and lives and stays where it is as long
        // as the state, in the same box.
        unsafe { vpl011_init(&raw mut device.state, page, VPL011_PROFILE_PL011) };
        device.write(LCR_H, FEN);
        device.glance = device.newest.glance.into();
        device
    }

    /// On a ring whose backend publishes the event index, far ahead.
    fn with_event_index() -> Box<Self> {
        let mut device = Self::new(true);
        device.publish(EVENT_INDEX, EVENT_INDEX_MAGIC);
        device.publish(OUT_EVENT, u32::MAX / 2);
        device
    }

    fn publish(&mut self, offset: usize, word: u32) {
        self.page.0[offset..offset + 4].copy_from_slice(&word.to_ne_bytes());
        // SAFETY: `new` has made the device, in one thread.
        self.newest = unsafe { vpl011_ring_event(&raw mut self.state) };
    }

    fn access(&mut self, syndrome: u64, offset: u64, value: u64) {
        let (syndrome, offset, value) = (black_box(syndrome), black_box(offset), black_box(value));
        // SAFETY: as for `publish`.
        self.newest = unsafe { vpl011_access(&raw mut self.state, syndrome, offset, value) };
    }

    fn write(&mut self, offset: u64, value: u64) {
        self.access(WRITE, offset, value);
    }

    fn read(&mut self, offset: u64) {
        self.access(READ, offset, 0);
    }

    /// A write of UARTDR as Xen's glue makes it.
    fn send(&mut self, value: u64) {
        // SAFETY: as for `publish`.
        self.newest = unsafe { vpl011_send(&raw mut self.state, black_box(value)) };
    }

    fn peek(&mut self, syndrome: u64, offset: u64, value: u64) {
        let (syndrome, offset) = (black_box(syndrome), black_box(offset));
        let seen = vpl011_peek(black_box(&self.glance), syndrome, offset, value);
        assert_ne!(seen, VPL011_UNSEEN);
    }
}

/// A case: its name, the device it begins with, and what is counted.
type Case = (&'static str, fn() -> Box<Device>, fn(&mut Device));

const CASES: &[Case] = &[
    ("dr_write", || Device::new(true), |d| d.send(0x78)),
    ("dr_write_event_index", Device::with_event_index, |d| {
        d.send(0x78);
    }),
    (
        "dr_write_interrupting",
        || {
            let mut device = Device::with_event_index();
            device.write(IMSC, TXIM);
            device
        },
        |d| d.send(0x78),
    ),
    ("dr_write_console", || Device::new(false), |d| d.send(0x78)),
    (
        "dr_read",
        || {
            let mut device = Device::new(true);
            device.write(IMSC, RX_RT);
            device.publish(IN_PROD, IN_SIZE);
            device
        },
        |d| d.read(DR),
    ),
    ("fr_glance", || Device::new(true), |d| d.peek(READ, FR, 0)),
    ("ris_glance", || Device::new(true), |d| d.peek(READ, RIS, 0)),
    (
        "icr_glance",
        || Device::new(true),
        |d| d.peek(WRITE, ICR, 0),
    ),
    ("fr_read", || Device::new(true), |d| d.read(FR)),
    ("rsr_read", || Device::new(true), |d| d.read(RSR)),
    (
        "mis_handler",
        || Device::new(true),
        |d| {
            d.write(IMSC, TXIM);
            d.read(RIS);
            d.write(ICR, TXIM);
        },
    ),
    (
        "event_idle",
        || Device::new(true),
        |d| d.publish(OUT_EVENT, 0),
    ),
];

/// The same of the crate.
type CrateCase = (&'static str, fn(&mut Crate));

const CRATE_CASES: &[CrateCase] = &[
    ("crate_harness", |_| {
        black_box(access(black_box(FR)));
    }),
    ("crate_received", Crate::receive),
    ("crate_written", |c| {
        c.newest = c.uart.write_bytes(black_box(DR), black_box(&[0x78; 4]));
    }),
    ("crate_fr_glance", |c| c.glance(FR)),
    ("crate_fr_read", |c| {
        c.read(FR);
    }),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, count] = &arguments[..] else {
        let names = CASES.iter().map(|(name, ..)| name);
        for name in names.chain(CRATE_CASES.iter().map(|(name, _)| name)) {
            println!("{name}");
        }
        return;
    };
    let count: u32 = count.parse().expect("a count");
    if let Some((_, work)) = CRATE_CASES.iter().find(|(name, _)| name == case) {
        let mut device = Crate::new();
        for _ in 0..count {
            work(black_box(&mut device));
        }
        black_box(device.uart.backend().taken);
        return;
    }
    let (_, device, work) = CASES
        .iter()
        .find(|(name, ..)| name == case)
        .unwrap_or_else(|| panic!("there is no case {case}"));
    let mut device = device();
    for _ in 0..count {
        work(black_box(&mut device));
    }
    black_box(&device);
}
