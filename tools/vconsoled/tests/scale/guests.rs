// SPDX-License-Identifier: MIT
//! Guests with two consoles each, and a viewer at every pty.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use vpl011::ring::memory::RingMemory;
use xen_io::DomId;
use xen_io::fake::{Console, Machine};

const OUT_CONS: usize = 3080;
const OUT_PROD: usize = 3084;
const OUT: usize = 1024;
const OUT_SIZE: u32 = 2048;

/// One console: the guest's end, and the viewer's.
pub(crate) struct Seat {
    pub(crate) path: String,
    pub(crate) log: String,
    console: Console,
    viewer: Option<File>,
    /// Distinguishes its bytes from other consoles'.
    seed: u64,
    sent: u64,
    seen: u64,
}

/// Guests with a PV console and a private vuart each.
pub(crate) fn create(machine: &Machine, guests: usize) -> Vec<Seat> {
    let mut seats = Vec::new();
    for guest in 0..guests {
        let name = format!("guest{guest}");
        let domid = machine.create_domain(&name).expect("a domain");
        let pv = machine.add_pv_console(domid).expect("a console");
        let vuart = machine.add_private_vuart(domid).expect("a vuart");
        machine.introduce(domid);
        for (console, node, suffix) in [(pv, "console", ""), (vuart, "vuart/0", "-vuart0")] {
            seats.push(Seat {
                path: path(domid, node),
                log: format!("guest-{name}{suffix}.log"),
                console,
                viewer: None,
                seed: seats.len() as u64,
                sent: 0,
                seen: 0,
            });
        }
    }
    seats
}

fn path(domid: DomId, node: &str) -> String {
    format!("/local/domain/{domid}/{node}/tty")
}

/// The byte at that position of a stream: text, which is never altered.
pub(crate) fn byte(seed: u64, at: u64) -> u8 {
    let mixed = (seed << 32 ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    b' ' + (mixed >> 56) as u8 % 95
}

impl Seat {
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn has_seen_all(&self) -> bool {
        self.seen == self.sent
    }

    /// Opens its pty.
    pub(crate) fn sit_down(&mut self, tty: &str) {
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(tty);
        self.viewer = Some(file.unwrap_or_else(|error| panic!("{tty}: {error}")));
    }

    /// Puts as many of `length` bytes into the ring as fit, and notifies.
    pub(crate) fn send(&mut self, length: u64) -> u64 {
        let page = &self.console.page;
        let (cons, prod) = (page.load_u32(OUT_CONS), page.load_u32(OUT_PROD));
        page.barrier();
        let room = OUT_SIZE - prod.wrapping_sub(cons);
        let count = u32::try_from(length).unwrap_or(u32::MAX).min(room);
        for at in 0..count {
            let index = prod.wrapping_add(at);
            let value = byte(self.seed, self.sent + u64::from(at));
            page.store_u8(OUT + (index & (OUT_SIZE - 1)) as usize, value);
        }
        page.barrier();
        page.store_u32(OUT_PROD, prod.wrapping_add(count));
        if count > 0 {
            self.console.line.notify();
        }
        self.sent += u64::from(count);
        count.into()
    }

    /// Waits until the daemon has taken everything from the ring.
    pub(crate) fn await_taken(&self, limit: Duration) -> bool {
        let (page, until) = (&self.console.page, Instant::now() + limit);
        while page.load_u32(OUT_CONS) != page.load_u32(OUT_PROD) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        true
    }

    /// Reads available output; every byte must be the next one.
    pub(crate) fn look(&mut self) -> u64 {
        let Some(viewer) = &mut self.viewer else {
            return 0;
        };
        let mut buffer = [0; 4096];
        let before = self.seen;
        loop {
            let length = match viewer.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{}: {error}", self.path),
            };
            for value in &buffer[..length] {
                let wanted = byte(self.seed, self.seen);
                assert_eq!(*value, wanted, "{}: byte {}", self.path, self.seen);
                self.seen += 1;
            }
        }
        self.seen - before
    }

    /// Waits for output.
    pub(crate) fn await_output(&self, limit: Duration) -> bool {
        let viewer = self.viewer.as_ref().expect("a viewer");
        let limit = Timespec::try_from(limit).expect("a short time");
        let mut fds = [PollFd::new(viewer, PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&limit)).expect("poll") > 0
    }
}
