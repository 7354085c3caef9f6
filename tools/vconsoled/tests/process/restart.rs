// SPDX-License-Identifier: MIT
//! A daemon that is killed at any moment, and its successor: every byte is once
//! in the log, and once in a viewer's stream.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use vpl011::ring::memory::RingMemory;
use xen_io::GrantRef;

use crate::host::{Host, Sender, in_common, pattern, same};
use crate::manager::Manager;
use crate::support::{PATIENCE, PV, Serial as _, VUART, Viewer, guest, tty, wait_for};
use crate::tracer::Tracer;

/// Follows a console on a socket across daemons, until it has `total` bytes.
fn follow(control: &Path, total: &AtomicUsize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut stream = String::new();
    let deadline = Instant::now() + 10 * PATIENCE;
    while bytes.len() < total.load(Ordering::Acquire) {
        assert!(Instant::now() < deadline, "{} bytes came", bytes.len());
        // The daemon ended: retry.
        let _ended = follow_one(control, total, &mut stream, &mut bytes);
        std::thread::sleep(Duration::from_millis(1));
    }
    bytes
}

fn follow_one(
    control: &Path,
    total: &AtomicUsize,
    stream: &mut String,
    bytes: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut socket = UnixStream::connect(control)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let from = bytes.len();
    let resume = match stream.as_str() {
        "" => String::new(),
        name => format!(",\"stream\":\"{name}\",\"from\":{from}"),
    };
    let attach = format!("\"domid\":1,\"console\":\"pv0\",\"mode\":\"ro\"{resume}");
    writeln!(socket, "{{\"version\":1,\"attach\":{{{attach}}}}}")?;
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        socket.read_exact(&mut byte)?;
        line.extend(byte);
    }
    let answer: Value = serde_json::from_slice(&line)?;
    let Some(position) = answer["position"].as_u64() else {
        // The console does not exist yet.
        return Ok(());
    };
    let name = answer["stream"].as_str().unwrap();
    assert!(stream.is_empty() || stream == name, "the stream is another");
    name.clone_into(stream);
    assert_eq!(position, from as u64, "the stream does not go on");
    while bytes.len() < total.load(Ordering::Acquire) {
        let mut header = [0; 5];
        socket.read_exact(&mut header)?;
        let [kind, length @ ..] = header;
        let mut payload = vec![0; u32::from_le_bytes(length) as usize];
        socket.read_exact(&mut payload)?;
        match kind {
            1 => bytes.extend(payload),
            3 => return Ok(()),
            other => panic!("a frame of type {other} after {} bytes", bytes.len()),
        }
    }
    Ok(())
}

pub(crate) fn a_hundred_kills_lose_nothing_and_repeat_nothing() {
    let host = Host::new("size = \"100KiB\"\ncount = 1000");
    let (domid, pv, uart) = guest(&host.machine, "guest");
    let hypervisor = host.machine.platform().unwrap().hypervisor;
    let page = hypervisor.map_grant(domid, GrantRef::CONSOLE).unwrap();
    let (pv, uart) = (Sender::start(pv), Sender::start(uart));
    let total = Arc::new(AtomicUsize::new(usize::MAX));
    let viewer = {
        let (control, total) = (host.control(), Arc::clone(&total));
        std::thread::spawn(move || follow(&control, &total))
    };
    for round in 0..100_u64 {
        let daemon = host.start(|_| ());
        let before = page.load_u32(3080);
        pv.allow(40_000);
        uart.allow(20_000);
        wait_for("the guest's output", || {
            (page.load_u32(3080) != before).then_some(())
        });
        // At some moment after this.
        std::thread::sleep(Duration::from_micros(round * 7919 % 4000));
        daemon.kill();
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 1).then_some(())
        });
    }
    let last = host.start(|_| ());
    let (pv, uart) = (pv.finish(), uart.finish());
    assert!(pv > 100_000 && uart > 100_000, "{pv}, {uart}");
    total.store(pv, Ordering::Release);
    same("the stream", &viewer.join().unwrap(), pv);
    last.stop();
    same("the log", &host.logged("guest-guest.log"), pv);
    same(
        "the uart's log",
        &host.logged("guest-guest-vuart0.log"),
        uart,
    );
}

pub(crate) fn a_kill_at_every_system_call_loses_nothing_and_repeats_nothing() {
    // Small enough for a rotation each time.
    let host = Host::new("size = 1200\ncount = 1000");
    let (domid, mut pv, uart) = guest(&host.machine, "guest");
    drop(uart);
    let (mut sent, mut taken) = (0, Vec::new());
    for kill_at in 1.. {
        let daemon = host.start(|_| ());
        wait_for("what the last one left", || {
            let logged = taken.len() + host.logged("guest-guest.log").len();
            assert!(logged <= sent, "{logged} bytes in the log of {sent}");
            // The ring releases the bytes last.
            (logged == sent && pv.index(3080) == pv.index(3084)).then_some(())
        });
        let mut tracer = Tracer::seize(&daemon.0);
        let length = 1500 + sent % 501;
        pv.send(&pattern(sent, length));
        sent += length;
        let complete = || taken.len() + host.logged("guest-guest.log").len() == sent;
        let stops = tracer.run(kill_at, complete);
        tracer.kill(daemon);
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        host.take_old("guest-guest.log", &mut taken);
        if stops < kill_at {
            assert!(stops > 30, "{stops} stops are too few");
            break;
        }
    }
    host.start(|_| ()).stop();
    taken.extend(host.logged("guest-guest.log"));
    same("the log", &taken, sent);
}

/// The lengths of all repeated pieces of a stream; it must reach the end of what
/// is expected.
fn steps_back(stream: &[u8], expected: &[u8]) -> Vec<usize> {
    let (mut at, mut position, mut steps) = (0, 0, Vec::new());
    loop {
        let run = in_common(&stream[at..], &expected[position..]);
        at += run;
        position += run;
        if at == stream.len() {
            assert_eq!(position, expected.len(), "something is missing at the end");
            return steps;
        }
        assert!(run > 0 && steps.len() < 1000, "wrong from {position} on");
        let likely = (1..=position.min(65536))
            .max_by_key(|back| in_common(&stream[at..], &expected[position - back..]));
        let back = likely.expect("somewhere to go back to");
        position -= back;
        steps.push(back);
    }
}

pub(crate) fn a_terminal_loses_nothing_and_gets_a_piece_twice_at_most() {
    const ROUNDS: u64 = 25;
    const EACH: usize = 60_000;
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let (domid, _pv, uart) = guest(&host.machine, "guest");
    let first = host.start(|command| manager.prepare(command));
    let mut viewer = Viewer::open(&host.machine, domid, VUART);
    wait_for("it to be kept", || {
        (manager.kept().len() == 6).then_some(())
    });
    first.kill();
    let count = Arc::new(AtomicUsize::new(0));
    let total = Arc::new(AtomicUsize::new(usize::MAX));
    let reader = {
        let (count, total) = (Arc::clone(&count), Arc::clone(&total));
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            let deadline = Instant::now() + 10 * PATIENCE;
            loop {
                seen.extend(viewer.some(Duration::from_millis(10)));
                count.store(seen.len(), Ordering::Release);
                let end = total.load(Ordering::Acquire);
                if end < usize::MAX && seen.ends_with(&pattern(end - 1000, 1000)) {
                    return seen;
                }
                assert!(Instant::now() < deadline, "{} bytes came", seen.len());
            }
        })
    };
    let uart = Sender::start(uart);
    for round in 0..ROUNDS {
        let daemon = host.start(|command| manager.prepare(command));
        let before = count.load(Ordering::Acquire);
        uart.allow(EACH);
        wait_for("the terminal to show something", || {
            (count.load(Ordering::Acquire) > before + 4096).then_some(())
        });
        // At some moment after this.
        std::thread::sleep(Duration::from_micros(round * 7919 % 5000));
        daemon.kill();
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
    }
    let last = host.start(|command| manager.prepare(command));
    let sent = uart.finish();
    total.store(sent, Ordering::Release);
    let steps = steps_back(&reader.join().unwrap(), &pattern(0, sent));
    // What an empty pty takes at once, by each daemon except the last.
    assert!(steps.iter().all(|back| *back <= 8192), "{steps:?}");
    assert!(steps.len() as u64 <= ROUNDS, "{steps:?}");
    last.stop();
}

pub(crate) fn a_terminal_survives_with_the_processes_that_have_it_open() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let (domid, mut pv, mut uart) = guest(&host.machine, "guest");
    let mut viewer = None;
    let mut names = Vec::new();
    for round in 0..4 {
        let daemon = host.start(|command| manager.prepare(command));
        let tty = tty(&host.machine, domid, PV).unwrap();
        let viewer = viewer.get_or_insert_with(|| Viewer::open(&host.machine, domid, PV));
        pv.send(b"served ");
        assert_eq!(viewer.read(7), b"served ");
        viewer.write(b"typed");
        assert_eq!(pv.receive(5), b"typed");
        wait_for("it to be kept", || {
            (manager.kept().len() == 6).then_some(())
        });
        names.push((tty, manager.kept()));
        // In either case both ends continue meanwhile.
        if round % 2 == 0 {
            daemon.kill();
        } else {
            daemon.stop();
        }
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        pv.send(b"alone ");
        viewer.write(b"early");
        let daemon = host.start(|command| manager.prepare(command));
        assert_eq!(viewer.read(6), b"alone ", "nothing twice, nothing lost");
        assert_eq!(pv.receive(5), b"early");
        daemon.stop();
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
    }
    names.dedup();
    assert_eq!(names.len(), 1, "{names:?}");

    // It is not open any more: output is kept for the next viewer.
    drop(viewer);
    let daemon = host.start(|command| manager.prepare(command));
    let sent = pattern(0, 60_000);
    pv.send(&sent);
    uart.send(b"x");
    let mut late = Viewer::open(&host.machine, domid, PV);
    assert!(late.read(60_000) == sent);
    host.machine.destroy(domid).unwrap();
    wait_for("it to be removed", || {
        manager.kept().is_empty().then_some(())
    });
    daemon.stop();
}
