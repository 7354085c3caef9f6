// SPDX-License-Identifier: MIT
//! A console on the fake host; the test controls its slices and clock.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use vpl011::ring::memory::RingMemory;
use xen_io::fake::{self, Machine};

use super::*;
use crate::config::History as Scrollback;

const OUT: usize = 1024;
const IN_CONS: usize = 3072;
const IN_PROD: usize = 3076;
const OUT_PROD: usize = 3084;
const IN_EVENT: usize = 3592;

/// A console, its guest's end, and a viewer on its pty.
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
            .write(true)
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

    fn run_slice(&mut self, now: Instant) -> Next {
        self.console.run_slice(self.events.as_mut(), now).unwrap()
    }

    fn set_input_rate(&mut self, bytes: u32, now: Instant) {
        let rate = InputRate::Bytes(bytes.try_into().unwrap());
        self.console.set_input_rate(rate, now);
    }

    /// The viewer types this many characters.
    fn type_in(&mut self, length: usize) {
        self.viewer.write_all(&vec![b'x'; length]).unwrap();
        // The kernel delivers them asynchronously.
        terminal::wait_for("what was typed", || {
            let there = rustix::io::ioctl_fionread(&self.console.pty).unwrap();
            (there == length as u64).then_some(())
        });
        self.console.on_pty(true, false);
    }

    /// Bytes in the guest's input ring.
    fn found(&self) -> u32 {
        let page = &self.guest.page;
        page.load_u32(IN_PROD).wrapping_sub(page.load_u32(IN_CONS))
    }

    /// The guest takes all input.
    fn take_in(&mut self) -> u32 {
        let found = self.found();
        let page = &self.guest.page;
        page.store_u32(IN_CONS, page.load_u32(IN_PROD));
        found
    }

    /// The guest fills its empty output ring.
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

    /// Whether the daemon receives the guest's doorbell.
    fn ring(&mut self) -> bool {
        self.guest.line.notify();
        let mut ports = Vec::new();
        self.events.pending(&mut ports).unwrap();
        for _ in &ports {
            self.console.on_event();
        }
        !ports.is_empty()
    }

    /// The viewer reads everything that was written to the pty.
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
fn a_pty_whose_reader_keeps_up_has_its_share_of_a_service_slice() {
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
        // Before and after reading the ring.
        let shown = bench.console.shown.position() - before;
        assert!(shown <= 2 * 16 * 1024, "{shown} bytes in one service slice");
    }
    // The reader ends when the pty closes.
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
        // The next poll finds nothing, which ends the burst.
        now += Duration::from_millis(1);
        bench.run_slice(now);
        assert!(bench.ring(), "{slot}: it does not flow any more");
    }
}

#[test]
fn input_at_a_rate_comes_in_time_and_nothing_looks_for_it_before() {
    for slot in [Slot::Vuart, Slot::Pv] {
        let mut bench = Bench::new(slot);
        let begin = Instant::now();
        bench.set_input_rate(1000, begin);
        bench.type_in(2000);
        let (mut came, mut looks, mut now) = (0, 0, begin);
        while came < 2000 {
            let Next::At(next) = bench.run_slice(now) else {
                panic!("{slot}: {came} bytes came, and no time is set for more");
            };
            looks += 1;
            came += bench.take_in();
            let most = (now - begin).as_millis() + 5;
            assert!(u128::from(came) <= most, "{slot}: {came} bytes of {most}");
            assert!(next > now, "{slot}: a busy loop");
            // The loop's timer.
            now = next.max(now + Duration::from_millis(1));
            if looks % 50 == 0 {
                now += Duration::from_millis(3);
            }
        }
        let took = now - begin;
        assert!(took <= Duration::from_millis(2002), "{slot}: {took:?}");
        assert!(looks <= 2000, "{slot}: {looks} looks");
        assert_eq!(bench.run_slice(now), Next::Wait, "{slot}");
    }
}

#[test]
fn a_guest_that_paused_finds_no_more_than_a_burst() {
    for slot in [Slot::Vuart, Slot::Pv] {
        let mut bench = Bench::new(slot);
        let mut now = Instant::now();
        bench.set_input_rate(1000, now);
        bench.type_in(100);
        // The console stays idle until the guest takes something.
        while bench.run_slice(now) != Next::Wait {
            now += Duration::from_millis(1);
            assert!(bench.found() <= 5, "{slot}: {} bytes wait", bench.found());
        }
        assert_eq!(bench.found(), 5, "{slot}");
        if slot == Slot::Vuart {
            let asked = bench.guest.page.load_u32(IN_EVENT);
            let cons = bench.guest.page.load_u32(IN_CONS);
            assert!(asked.wrapping_sub(cons) < 5, "no doorbell was requested");
        }
        now += Duration::from_secs(1);
        bench.take_in();
        bench.run_slice(now);
        assert_eq!(bench.found(), 5, "{slot}");
    }
}

#[test]
fn a_rate_holds_when_it_is_set_and_until_it_is_taken_away() {
    let mut bench = Bench::new(Slot::Pv);
    let now = Instant::now();
    bench.type_in(700);
    bench.run_slice(now);
    assert_eq!(bench.take_in(), 700);
    bench.type_in(700);
    bench.set_input_rate(1000, now);
    bench.run_slice(now + Duration::from_secs(1));
    assert_eq!(bench.take_in(), 5);
    bench.console.set_input_rate(InputRate::Unlimited, now);
    bench.run_slice(now);
    assert_eq!(bench.take_in(), 695);
}

#[test]
fn a_rate_follows_the_line_that_the_guest_set() {
    const LINE_CONTROL: usize = 3600;
    for (slot, believed) in [(Slot::Vuart, true), (Slot::Pv, false)] {
        let mut bench = Bench::new(slot);
        let mut now = Instant::now();
        bench.console.set_input_rate(InputRate::Auto, now);
        bench.type_in(700);
        bench.run_slice(now);
        assert_eq!(bench.take_in(), 700, "{slot}: no rate is known");
        bench.type_in(700);
        // 9600 baud, 8 bits, no parity, one stop bit.
        let line = 0x70 << 22 | 156 << 6 | 16;
        bench.guest.page.store_u32(LINE_CONTROL, line);
        bench.run_slice(now);
        assert_eq!(bench.take_in(), if believed { 0 } else { 700 }, "{slot}");
        if !believed {
            continue;
        }
        now += Duration::from_secs(1);
        bench.run_slice(now);
        assert_eq!(bench.take_in(), 4);
        // 1.5 Mbaud.
        bench
            .guest
            .page
            .store_u32(LINE_CONTROL, 0x70 << 22 | 1 << 6);
        bench.run_slice(now);
        now += Duration::from_millis(1);
        bench.run_slice(now);
        assert_eq!(bench.take_in(), 150);
        bench.guest.page.store_u32(LINE_CONTROL, u32::MAX);
        bench.run_slice(now);
        assert_eq!(bench.take_in(), 546, "nonsense is no rate");
    }
}
