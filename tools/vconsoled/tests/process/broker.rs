// SPDX-License-Identifier: MIT
//! The broker process, which opens for the daemon what the daemon may not.

use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::sockopt::socket_peercred;
use vconsoled::Config;
use vconsoled::confine::broker::Broker;
use xen_io::DomId;
use xen_io::Platform;
use xen_io::xenstore::Client;

use crate::host::{Host, Running};
use crate::support::{PV, Serial as _, Viewer, guest, status, wait_for};

/// Makes this process a broker.
pub(crate) const ROLE: &str = "VCONSOLED_TEST_BROKER";
/// Makes a daemon on a host give up privileges by its configuration.
pub(crate) const CONFINED: &str = "VCONSOLED_TEST_CONFINED";

/// In the daemon's process: connects to xenstored directly; the broker
/// reconnects.
pub(crate) fn confine(platform: &mut Platform, config: &Config) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, "1");
    let broker = Broker::spawn(command).unwrap();
    platform.store = Client::open().unwrap();
    platform.reopen_store = Box::new(move || broker.open_xenstore());
    vconsoled::confine::give_up(config).unwrap();
}

/// A connection to xenstored: the process, its user, and its end.
type Connection = (i32, u32, UnixStream);

/// A xenstored for root only, whose connections can be cut.
struct Xenstored(Arc<Mutex<Vec<Connection>>>);

impl Xenstored {
    fn new(host: &Host) -> Self {
        let path = host.dir.path().join("xenstored");
        let listener = UnixListener::bind(&path).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        let connections = Arc::<Mutex<Vec<Connection>>>::default();
        let (known, machine) = (Arc::clone(&connections), host.machine.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let store = machine.store().connect(DomId::DOM0).unwrap();
                for (from, to) in [(&stream, &store), (&store, &stream)] {
                    let ends = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || pass_on(ends));
                }
                let peer = socket_peercred(&stream).unwrap();
                let pid = peer.pid.as_raw_nonzero().get();
                let connection = (pid, peer.uid.as_raw(), stream);
                known.lock().unwrap().push(connection);
            }
        });
        Self(connections)
    }

    /// The processes and users that ever connected.
    fn peers(&self) -> Vec<(i32, u32)> {
        let known = self.0.lock().unwrap();
        known.iter().map(|(pid, uid, _)| (*pid, *uid)).collect()
    }

    fn cut(&self) {
        for (.., stream) in &*self.0.lock().unwrap() {
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on((mut from, mut to): (UnixStream, UnixStream)) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ended = to.shutdown(Shutdown::Both);
}

/// A field of `/proc/PID/status`.
fn said_of(pid: i32, what: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

/// Whether a process has ended, even as a zombie.
fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// The targets of a process's descriptors.
fn links(process: &str) -> Vec<String> {
    let fds = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    fds.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok())
        .map(|link| link.display().to_string())
        .collect()
}

/// A host with a confined daemon and a broker.
fn confined() -> (Host, Xenstored) {
    let mut host = Host::new("");
    std::fs::set_permissions(host.dir.path(), Permissions::from_mode(0o711)).unwrap();
    host.config = host
        .config
        .replace(
            "user = \"\"\nsandbox = false",
            "user = \"nobody\"\nsandbox = true",
        )
        .replace("control.sock", "run/control.sock");
    let xenstored = Xenstored::new(&host);
    (host, xenstored)
}

fn start(host: &Host) -> Running {
    let xenstored = host.dir.path().join("xenstored");
    host.start(|command| {
        command.env(CONFINED, "1").env("XENSTORED_PATH", xenstored);
    })
}

pub(crate) fn a_daemon_that_is_no_longer_root_connects_to_xenstored_again() {
    let (host, xenstored) = confined();
    let (domid, _pv, _uart) = guest(&host.machine, "before");
    let daemon = start(&host);
    let pid = i32::try_from(daemon.0.id()).unwrap();
    assert_eq!(xenstored.peers(), [(pid, 0)]);
    let control = host.dir.path().join("run/control.sock");
    for round in 1..=3 {
        xenstored.cut();
        wait_for("another connection", || {
            (xenstored.peers().len() > round).then_some(())
        });
    }
    // A domain that was destroyed while it was lost, and a later one.
    host.machine.destroy(domid).unwrap();
    let (domid, mut pv, _uart) = guest(&host.machine, "later");
    let mut viewer = Viewer::open(&host.machine, domid, PV);
    pv.send(b"said");
    assert_eq!(viewer.read(4), b"said");
    wait_for("the first one's end", || {
        let consoles = status(&control).consoles;
        (!consoles.iter().any(|row| row.name == "before")).then_some(())
    });
    let peers = xenstored.peers();
    let broker = peers[1].0;
    assert_ne!(broker, pid);
    assert!(
        peers[1..].iter().all(|peer| *peer == (broker, 0)),
        "{peers:?}"
    );
    // It has root's uid, but no privilege of root.
    for (what, expected) in [
        ("Name", "console-broker"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapEff", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
    ] {
        assert_eq!(said_of(broker, what), expected, "{what}");
    }
    // Its socket, and descriptors that this test inherited.
    let mut fds = links(&broker.to_string());
    fds.retain(|link| !links("self").contains(link));
    assert!(fds.len() == 1 && fds[0].starts_with("socket:"), "{fds:?}");
    // The broker ends when the daemon is killed.
    daemon.kill();
    wait_for("its end", || has_ended(broker).then_some(()));
}

/// The broker may stall: served consoles continue, and the next connection is
/// made when it continues.
pub(crate) fn the_daemon_does_not_wait_for_the_broker() {
    let (host, xenstored) = confined();
    let (domid, mut pv, _uart) = guest(&host.machine, "guest");
    let daemon = start(&host);
    let mut viewer = Viewer::open(&host.machine, domid, PV);
    xenstored.cut();
    wait_for("another connection", || {
        (xenstored.peers().len() == 2).then_some(())
    });
    let control = host.dir.path().join("run/control.sock");
    wait_for("certainty", || {
        status(&control).incomplete.is_none().then_some(())
    });
    let broker = Pid::from_raw(xenstored.peers()[1].0);
    let mut slowest = || {
        let mut took = Duration::ZERO;
        let began = Instant::now();
        // Long enough for the loss to be detected.
        while began.elapsed() < Duration::from_secs(1) {
            let asked = Instant::now();
            pv.send(b"?");
            assert_eq!(viewer.read(1), b"?");
            viewer.write(b"!");
            assert_eq!(pv.receive(1), b"!");
            took = took.max(asked.elapsed());
        }
        took
    };
    let calm = slowest();
    kill(broker, Signal::SIGSTOP).unwrap();
    xenstored.cut();
    let stopped = slowest();
    println!("the slowest answer: {stopped:?}, before {calm:?}");
    // A daemon that waited for the broker would wait ten seconds.
    assert!(stopped < Duration::from_secs(4), "{stopped:?}");
    assert!(status(&control).incomplete.is_some(), "it stands still");
    kill(broker, Signal::SIGCONT).unwrap();
    wait_for("the next connection", || {
        (xenstored.peers().len() >= 3).then_some(())
    });
    let (domid, mut pv, _uart) = guest(&host.machine, "later");
    let mut viewer = Viewer::open(&host.machine, domid, PV);
    pv.send(b"said");
    assert_eq!(viewer.read(4), b"said");
    // The same for a broker that has ended: the daemon continues without it.
    kill(broker, Signal::SIGKILL).unwrap();
    xenstored.cut();
    assert!(slowest() < Duration::from_secs(4));
    assert!(status(&control).incomplete.is_some());
    daemon.stop();
}
