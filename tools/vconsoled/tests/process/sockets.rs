// SPDX-License-Identifier: MIT
//! Programs on a console's own socket, which do not send their position: the
//! service manager stores their connections, and the end of a daemon does not
//! affect their input and output.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use xen_io::DomId;

use crate::host::{Host, Running, Sender, pattern, same};
use crate::manager::Manager;
use crate::support::{PATIENCE, PV, PvDriver, Serial, Viewer, guest, wait_for};
use crate::tracer::Tracer;

pub(crate) const IN_CONS: usize = 3072;
pub(crate) const IN_PROD: usize = 3076;

/// Bytes of input at a time.
const TYPED: usize = 20;
/// Number of guests without input.
const OTHERS: usize = 12;

fn socket(host: &Host, name: &str) -> PathBuf {
    host.dir.path().join("consoles/by-name/guest").join(name)
}

pub(crate) fn connect(host: &Host, name: &str) -> UnixStream {
    let stream = UnixStream::connect(socket(host, name)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn read(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Asserts that nothing more comes for a while; a busy machine may bring it later.
fn assert_silent(stream: &mut UnixStream) {
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let end = stream.read(&mut [0]);
    let end = end.expect_err("more comes, or the connection is over");
    assert_eq!(end.kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

/// Ends it in an orderly way, or kills it.
pub(crate) fn end(host: &Host, domid: DomId, daemon: Running, in_order: bool) {
    if in_order {
        daemon.stop();
    } else {
        daemon.kill();
    }
    wait_for("Xen to unmap its pages", || {
        (host.machine.mapped_pages(domid) == 0).then_some(())
    });
}

pub(crate) fn a_plain_reader_notices_no_end_and_gets_every_byte_once() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let start = || host.start(|command| manager.prepare(command));
    let (domid, pv, uart) = guest(&host.machine, "guest");
    drop(uart);
    let mut daemon = start();
    let mut stream = connect(&host, "pv0.ro.sock");
    wait_for("it to be let in", || {
        (manager.kept().len() == 7).then_some(())
    });
    let seen = Arc::new(AtomicUsize::new(0));
    let reader = {
        let seen = Arc::clone(&seen);
        std::thread::spawn(move || {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 5000]);
            stream.set_read_timeout(Some(10 * PATIENCE)).unwrap();
            loop {
                match stream.read(&mut buffer).unwrap() {
                    0 => return bytes,
                    length => bytes.extend(&buffer[..length]),
                }
                seen.store(bytes.len(), Ordering::Release);
            }
        })
    };
    let pv = Sender::start(pv);
    let mut allowed = 0;
    for round in 0..60_u64 {
        pv.allow(40_000);
        allowed += 40_000;
        // So close behind that it loses nothing.
        wait_for("the reader", || {
            (seen.load(Ordering::Acquire) + 100_000 > allowed).then_some(())
        });
        std::thread::sleep(Duration::from_micros(round * 7919 % 4000));
        end(&host, domid, daemon, round % 3 == 2);
        daemon = start();
    }
    let sent = pv.finish();
    wait_for("the rest", || {
        (seen.load(Ordering::Acquire) >= sent).then_some(())
    });
    host.machine.destroy(domid).unwrap();
    same("the reader's stream", &reader.join().unwrap(), sent);
    daemon.stop();
}

pub(crate) fn a_client_that_connects_while_there_is_no_daemon_is_served() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let start = || host.start(|command| manager.prepare(command));
    let (domid, mut pv, _uart) = guest(&host.machine, "guest");
    let mut daemon = start();
    pv.send(b"once\n");
    assert_eq!(read(&mut connect(&host, "pv0.sock"), 5), b"once\n");
    for in_order in [true, false] {
        end(&host, domid, daemon, in_order);
        let mut early = connect(&host, "pv0.sock");
        early.write_all(b"early").unwrap();
        daemon = start();
        assert_eq!(pv.receive(5), b"early");
        assert_eq!(read(&mut early, 5), b"once\n");
    }
    daemon.stop();
}

pub(crate) fn a_slow_reader_gets_its_loss_reported_once_over_ends() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let start = || host.start(|command| manager.prepare(command));
    let (domid, mut pv, _uart) = guest(&host.machine, "guest");
    let mut daemon = start();
    let mut stream = connect(&host, "pv0.ro.sock");
    let mut sent = 0;
    let mut seen = Vec::new();
    for in_order in [false, true, false] {
        // It reads nothing meanwhile.
        pv.send(&pattern(sent, 2_000_000));
        sent += 2_000_000;
        end(&host, domid, daemon, in_order);
        daemon = start();
        let last = pattern(sent - 1000, 1000);
        while !seen.ends_with(&last) {
            let mut bytes = [0; 5000];
            let length = stream.read(&mut bytes).unwrap();
            assert!(length > 0, "the connection is over");
            seen.extend(&bytes[..length]);
        }
    }
    assert_silent(&mut stream);
    let (mut position, mut lost, mut bytes) = (0, 0, &seen[..]);
    while !bytes.is_empty() {
        let (note, after) = (b"\r\n[", b" bytes lost]\r\n");
        let find = |what: &[u8], from: usize| {
            let mut at = bytes[from..].windows(what.len());
            at.position(|part| part == what).map(|at| from + at)
        };
        let told = find(note, 0).and_then(|at| Some((at, find(after, at)?)));
        let (length, gap, next) = match told {
            Some((at, until)) => {
                let number = std::str::from_utf8(&bytes[at + note.len()..until]).unwrap();
                (at, number.parse().unwrap(), until + after.len())
            }
            None => (bytes.len(), 0, bytes.len()),
        };
        assert!(
            bytes[..length] == pattern(position, length),
            "from {position}"
        );
        position += length + gap;
        lost += gap;
        bytes = &bytes[next..];
    }
    assert_eq!(position, sent, "bytes, and the reported number of others");
    assert!(lost > 1_000_000, "{lost}");
    daemon.stop();
}

pub(crate) fn what_is_typed_arrives_once_wherever_the_daemon_is_killed() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    // Discovered before it, over several iterations of the loop: the last
    // daemon's input in the pipe is not for them.
    let others = [(); OTHERS].map(|()| guest(&host.machine, "other"));
    let (domid, mut pv, uart) = guest(&host.machine, "guest");
    drop(uart);
    // Two sources, distinguished by their bytes.
    let of = |who: u8, at: usize| who | u8::try_from(at % 101).unwrap();
    let text = |who: u8, from: usize| -> Vec<u8> {
        let bytes = from..from + TYPED;
        bytes.map(|at| of(who, at)).collect()
    };
    let (mut typed, mut sent) = (0, 0);
    let mut arrived = Vec::new();
    let mut ends = None;
    for kill_at in 1.. {
        let daemon = host.start(|command| manager.prepare(command));
        let (tty, stream) = ends.get_or_insert_with(|| {
            let tty = Viewer::open(&host.machine, domid, PV);
            (tty, connect(&host, "pv0.sock"))
        });
        wait_for("what the last one left", || {
            arrived.extend(waiting(&mut pv));
            (arrived.len() == 2 * typed).then_some(())
        });
        wait_for("it to be let in", || {
            (manager.kept().len() == 7 + 6 * OTHERS).then_some(())
        });
        let mut tracer = Tracer::seize(&daemon.0);
        tty.write(&text(0, typed));
        stream.write_all(&text(0x80, typed)).unwrap();
        typed += TYPED;
        pv.send(&pattern(sent, 100));
        sent += 100;
        let complete = || {
            let left = pv.index(IN_PROD).wrapping_sub(pv.index(IN_CONS));
            left as usize == 2 * TYPED
        };
        let stops = tracer.run(kill_at, complete);
        tracer.kill(daemon);
        wait_for("Xen to unmap its pages", || {
            (host.machine.mapped_pages(domid) == 0).then_some(())
        });
        arrived.extend(waiting(&mut pv));
        if stops < kill_at {
            assert!(stops > 60, "{stops} stops are too few");
            break;
        }
    }
    host.start(|command| manager.prepare(command)).stop();
    drop(others);
    arrived.extend(waiting(&mut pv));
    for (who, name) in [(0, "terminal"), (0x80, "socket")] {
        let from = arrived.iter().filter(|byte| **byte & 0x80 == who);
        let expected = (0..typed).map(|at| of(who, at));
        assert!(from.copied().eq(expected), "what came by the {name}");
    }
    let (_, mut stream) = ends.unwrap();
    same("what the socket saw", &read(&mut stream, sent), sent);
    assert_silent(&mut stream);
}

/// The guest's waiting input.
pub(crate) fn waiting(pv: &mut PvDriver) -> Vec<u8> {
    let length = pv.index(IN_PROD).wrapping_sub(pv.index(IN_CONS));
    pv.receive(length as usize)
}

pub(crate) fn what_is_kept_goes_with_its_viewer_and_its_domain() {
    let host = Host::new("");
    let manager = Manager::new(host.dir.path().join("notify"));
    let (domid, _pv, _uart) = guest(&host.machine, "guest");
    let daemon = host.start(|command| manager.prepare(command));
    // Each console's terminal and two sockets.
    let kept = |count| {
        wait_for("what is kept", || {
            (manager.kept().len() == count).then_some(())
        });
    };
    kept(6);
    let mut viewers: Vec<UnixStream> = (0..32).map(|_| connect(&host, "pv0.sock")).collect();
    kept(38);
    let mut late = connect(&host, "pv0.sock");
    let mut said = String::new();
    late.read_to_string(&mut said).unwrap();
    assert_eq!(said, "[too many viewers]\r\n");
    viewers.truncate(5);
    kept(11);
    let ended = daemon.0.id();
    end(&host, domid, daemon, false);
    // A viewer that left meanwhile.
    viewers.pop();
    let daemon = host.start(|command| manager.prepare(command));
    assert_ne!(daemon.0.id(), ended);
    kept(10);
    host.machine.destroy(domid).unwrap();
    kept(0);
    for mut viewer in viewers {
        assert_eq!(viewer.read(&mut [0]).unwrap(), 0, "its console is gone");
    }
    daemon.stop();
}
