// SPDX-License-Identifier: MIT
//! A console on the fake host, whose slices and clock are the test's.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use vpl011::ring::memory::RingMemory;
use xen_io::fake::{self, Machine};

use super::*;
use crate::config::History as Scrollback;

const OUT: usize = 1024;
const OUT_PROD: usize = 3084;

/// A console, its guest's end, and somebody who has its pty open.
struct Bench {
    console: Console,
    events: Box<dyn EventChannels>,
    guest: fake::Console,
    sent: Vec<u8>,
    viewer: File,
    seen: Vec<u8>,
}

impl Bench {
    fn new(slot: Slot) -> Self {
        let machine = Machine::new();
        let domid = machine.create_domain("guest").unwrap();
        let guest = match slot {
            Slot::Vuart => machine.add_private_vuart(domid),
            _ => machine.add_pv_console(domid),
        };
        let guest = guest.unwrap();
        let mut host = machine.platform().unwrap();
        let source = Source::find(&mut host.store, domid, slot);
        let source = source.unwrap().unwrap();
        let connected = source.connect(domid, host.hypervisor.as_ref(), host.events.as_mut());
        let (ring, port) = connected.unwrap();
        let pty = Pty::open("test").unwrap();
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
        let viewer = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(pty.name())
            .unwrap();
        let mut console = Console::new(
            (domid, slot),
            "guest".to_owned(),
            Link::new(source, ring, port),
            OutputBuffer::in_memory(Scrollback::default().0.0).unwrap(),
            pty,
            Overflow::Discard,
        );
        console.pty_mut().look();
        console.start(host.events.as_mut()).unwrap();
        Self {
            console,
            events: host.events,
            guest,
            sent: Vec::new(),
            viewer,
            seen: Vec::new(),
        }
    }

    fn run_slice(&mut self, now: Instant) {
        self.console.run_slice(self.events.as_mut(), now).unwrap();
    }

    /// The guest fills its ring, which is empty.
    fn fill(&mut self) {
        let page = &self.guest.page;
        let prod = page.load_u32(OUT_PROD);
        for at in 0..2048_u32 {
            let index = prod.wrapping_add(at);
            let byte = index.wrapping_mul(0x9e37_79b9).to_be_bytes()[0];
            page.store_u8(OUT + (index as usize & 2047), byte);
            self.sent.push(byte);
        }
        page.barrier();
        page.store_u32(OUT_PROD, prod.wrapping_add(2048));
    }

    /// Whether the guest is heard when it rings.
    fn ring(&mut self) -> bool {
        self.guest.line.notify();
        let mut ports = Vec::new();
        self.events.pending(&mut ports).unwrap();
        for _ in &ports {
            self.console.on_event();
        }
        !ports.is_empty()
    }

    /// The viewer takes all that the pty took.
    fn look(&mut self) {
        let shown = usize::try_from(self.console.shown.position()).unwrap();
        while self.seen.len() < shown {
            let mut fds = [PollFd::new(&self.viewer, PollFlags::IN)];
            let limit = Timespec::try_from(Duration::from_secs(60)).unwrap();
            let ready = rustix::event::poll(&mut fds, Some(&limit)).unwrap();
            assert!(ready > 0, "{} of {shown} bytes came", self.seen.len());
            let mut buffer = [0; 4096];
            let length = self.viewer.read(&mut buffer).unwrap();
            self.seen.extend(&buffer[..length]);
        }
    }
}

#[test]
fn a_pty_that_was_full_takes_what_flows_as_soon_as_it_has_room() {
    let mut bench = Bench::new(Slot::Pv);
    let mut now = Instant::now();
    while bench.console.writable {
        assert!(bench.sent.len() < 1 << 20, "the pty takes everything");
        now += Duration::from_millis(1);
        bench.fill();
        bench.run_slice(now);
    }
    assert!(bench.console.polling.is_running());
    // Long before the next portion is due.
    while !bench.console.shown.is_at_end(&bench.console.output) {
        bench.look();
        let before = bench.console.shown.position();
        bench.console.on_pty(false, true);
        bench.run_slice(now);
        let after = bench.console.shown.position();
        assert!(after > before, "{before} bytes of {}", bench.sent.len());
    }
    bench.look();
    assert!(bench.seen == bench.sent, "bytes are lost or altered");
}

#[test]
fn a_pty_whose_reader_keeps_up_has_its_share_of_a_turn() {
    let mut bench = Bench::new(Slot::Pv);
    let mut now = Instant::now();
    while bench.sent.len() < 512 * 1024 {
        now += Duration::from_millis(1);
        bench.fill();
        bench.run_slice(now);
    }
    let mut viewer = bench.viewer.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 16384];
        loop {
            match viewer.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => std::thread::yield_now(),
                    _ => return,
                },
            }
        }
    });
    while !bench.console.shown.is_at_end(&bench.console.output) {
        let before = bench.console.shown.position();
        bench.console.on_pty(false, true);
        bench.run_slice(now);
        // Before the ring is looked at, and after.
        let shown = bench.console.shown.position() - before;
        assert!(shown <= 2 * 16 * 1024, "{shown} bytes in one turn");
    }
    // The reader's end is the pty's.
    drop(bench);
    reader.join().unwrap();
}

#[test]
fn a_uart_whose_output_flows_is_looked_at_and_does_not_ring() {
    for (slot, rings) in [(Slot::Vuart, false), (Slot::Pv, true)] {
        let mut bench = Bench::new(slot);
        let mut now = Instant::now();
        for _ in 0..3 {
            now += Duration::from_millis(1);
            assert!(bench.ring(), "{slot}: it does not flow yet");
            bench.fill();
            bench.run_slice(now);
        }
        assert_eq!(bench.ring(), rings, "{slot}");
        // The next look finds nothing, and that is the end of it.
        now += Duration::from_millis(1);
        bench.run_slice(now);
        assert!(bench.ring(), "{slot}: it does not flow any more");
    }
}
