// SPDX-License-Identifier: MIT
//! A console whose first connection fails when the daemon starts: the last
//! daemon's state for it is kept until it can be connected, or its domain is
//! gone.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use xen_io::{DomId, Platform};

use crate::host::{Host, Running};
use crate::manager::Manager;
use crate::sockets::{IN_CONS, IN_PROD, connect, end, read};
use crate::support::{PV, PvDriver, Serial, UartDriver, VUART, Viewer};
use crate::support::{guest, status, tty, wait_for};
use crate::tracer::Tracer;

/// A guest with stored descriptors of its consoles: for each, its pty and two sockets.
struct Bench {
    host: Host,
    manager: Manager,
    domid: DomId,
    pv: PvDriver,
    uart: UartDriver,
}

const KEPT: usize = 6;

impl Bench {
    fn new() -> Self {
        let host = Host::new("");
        let manager = Manager::new(host.dir.path().join("notify"));
        let (domid, pv, uart) = guest(&host.machine, "guest");
        Self {
            host,
            manager,
            domid,
            pv,
            uart,
        }
    }

    fn start(&self) -> Running {
        self.host.start(|command| self.manager.prepare(command))
    }

    /// Binds the port of the guest's PV console, until this is dropped.
    fn hold(&self) -> Platform {
        let mut other = self.host.machine.platform().unwrap();
        let port = self.pv.0.line.port();
        wait_for("the port of the last daemon", || {
            other.events.bind_interdomain(self.domid, port).ok()
        });
        other
    }

    /// Starts a daemon that cannot connect the PV console, and serves the other.
    fn start_held(&self) -> (Running, Platform) {
        let held = self.hold();
        let daemon = self.start();
        assert_ne!(self.state("pv0"), "connected");
        assert_eq!(self.state("vuart0"), "connected");
        (daemon, held)
    }

    fn state(&self, console: &str) -> String {
        let consoles = status(&self.host.control()).consoles;
        let row = consoles.into_iter().find(|row| row.console == console);
        row.unwrap().state
    }

    fn connected(&self) {
        wait_for("the next attempt", || {
            (self.state("pv0") == "connected").then_some(())
        });
    }

    fn kept(&self, count: usize) {
        wait_for("what is kept", || {
            (self.manager.kept().len() == count).then_some(())
        });
    }

    /// Ends a daemon that has only one console.
    fn end(&self, daemon: Running, in_order: bool) {
        end(&self.host, self.domid, daemon, in_order);
    }
}

pub(crate) fn a_pty_is_kept_until_its_console_is_served() {
    let mut bench = Bench::new();
    let mut daemon = bench.start();
    let name = tty(&bench.host.machine, bench.domid, PV);
    let mut viewer = Viewer::open(&bench.host.machine, bench.domid, PV);
    bench.kept(KEPT);
    for in_order in [false, true] {
        bench.end(daemon, in_order);
        // Two failures in a row.
        let (failed, held) = bench.start_held();
        drop(held);
        bench.end(failed, in_order);
        let (next, held) = bench.start_held();
        viewer.write(b"typed");
        drop(held);
        bench.connected();
        bench.pv.send(b"said");
        assert_eq!(viewer.read(4), b"said");
        assert_eq!(bench.pv.receive(5), b"typed");
        // The daemon serves while its writes are on their way to xenstored.
        wait_for("the pty's node", || {
            (tty(&bench.host.machine, bench.domid, PV) == name).then_some(())
        });
        bench.kept(KEPT);
        daemon = next;
    }
    daemon.stop();
}

pub(crate) fn sockets_and_viewers_are_kept_until_their_console_is_served() {
    let mut bench = Bench::new();
    let mut daemon = bench.start();
    let mut stays = connect(&bench.host, "pv0.sock");
    bench.kept(KEPT + 1);
    for in_order in [false, true] {
        bench.end(daemon, in_order);
        let (next, held) = bench.start_held();
        // A new client waits too.
        let mut comes = connect(&bench.host, "pv0.ro.sock");
        stays.write_all(b"typed").unwrap();
        drop(held);
        bench.connected();
        bench.kept(KEPT + 2);
        bench.pv.send(b"said");
        assert_eq!(read(&mut stays, 4), b"said");
        assert!(read_to(&mut comes, b"said"));
        assert_eq!(bench.pv.receive(5), b"typed");
        drop(comes);
        bench.kept(KEPT + 1);
        daemon = next;
    }
    daemon.stop();
}

/// Whether the output ends with these bytes at some time; scrollback may come
/// before them.
fn read_to(stream: &mut UnixStream, end: &[u8]) -> bool {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap() == 0 {
            return false;
        }
        bytes.extend(byte);
    }
    true
}

pub(crate) fn input_is_kept_and_no_other_guest_waits() {
    let mut bench = Bench::new();
    let daemon = bench.start();
    let mut viewer = Viewer::open(&bench.host.machine, bench.domid, PV);
    let mut other = Viewer::open(&bench.host.machine, bench.domid, VUART);
    bench.kept(KEPT);
    let mut typing = Some(daemon);
    for kill_at in 1.. {
        let daemon = typing.take().unwrap_or_else(|| bench.start());
        // Input that the last daemon had not taken yet.
        wait_for("what was typed", || {
            let left = bench
                .pv
                .index(IN_PROD)
                .wrapping_sub(bench.pv.index(IN_CONS));
            let typed = if kill_at == 1 { 0 } else { 5 };
            (left == typed).then(|| bench.pv.receive(left as usize))
        });
        let mut tracer = Tracer::seize(&daemon.0);
        let before = bench.pv.index(IN_PROD);
        viewer.write(b"typed");
        tracer.run(kill_at, || bench.pv.index(IN_PROD) != before);
        tracer.kill(daemon);
        wait_for("Xen to unmap its pages", || {
            (bench.host.machine.mapped_pages(bench.domid) == 0).then_some(())
        });
        // The pty does not have it any more, and the ring does not have it yet.
        if bench.manager.typed() == 5 && bench.pv.index(IN_PROD) == before {
            break;
        }
    }
    for in_order in [true, false] {
        let (daemon, held) = bench.start_held();
        drop(held);
        other.write(b"other");
        assert_eq!(bench.uart.receive(5), b"other");
        bench.end(daemon, in_order);
    }
    let (daemon, held) = bench.start_held();
    drop(held);
    assert_eq!(bench.pv.receive(5), b"typed");
    viewer.write(b"more");
    assert_eq!(bench.pv.receive(4), b"more");
    wait_for("it to be done with", || {
        (bench.manager.typed() == 0).then_some(())
    });
    daemon.stop();
}

pub(crate) fn what_waits_for_a_console_goes_with_its_domain() {
    let bench = Bench::new();
    let daemon = bench.start();
    let mut viewer = connect(&bench.host, "pv0.sock");
    bench.kept(KEPT + 1);
    bench.end(daemon, false);
    let (daemon, held) = bench.start_held();
    bench.kept(KEPT + 1);
    let folder = bench.host.dir.path().join("consoles");
    let folder = folder.join(bench.domid.to_string());
    assert!(folder.join("pv0.sock").exists());
    bench.host.machine.destroy(bench.domid).unwrap();
    bench.kept(0);
    assert_eq!(viewer.read(&mut [0]).unwrap(), 0, "its console is gone");
    wait_for("its sockets to go", || (!folder.exists()).then_some(()));
    drop(held);
    daemon.stop();
}
