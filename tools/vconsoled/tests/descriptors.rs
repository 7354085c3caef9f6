// SPDX-License-Identifier: MIT
//! The limit of open files is per process, so these tests have a process of their
//! own, and run one after another.
#![forbid(unsafe_code)]

#[expect(dead_code, reason = "most of it is for other tests")]
#[path = "daemon/support.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use rustix::process::{Resource, getrlimit, setrlimit};
use vconsoled::Config;
use vconsoled::config::Sockets;
use xen_io::fake::Machine;

use support::*;

/// Takes every free descriptor, and each that is released, until it is dropped.
struct All {
    over: Arc<AtomicBool>,
    taker: Option<JoinHandle<Vec<File>>>,
}

impl All {
    fn take() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let (none_left, wait) = channel();
        let taker = std::thread::spawn(move || {
            let mut taken = Vec::new();
            while !seen.load(Ordering::Relaxed) {
                if let Ok(file) = File::open("/dev/null") {
                    taken.push(file);
                } else {
                    let _waits = none_left.send(());
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            taken
        });
        wait.recv().unwrap();
        let taker = Some(taker);
        Self { over, taker }
    }
}

impl Drop for All {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let taker = self.taker.take().unwrap();
        drop(taker.join());
    }
}

/// Waits for the other tests, and sets a low limit.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(400);
    setrlimit(Resource::Nofile, limit).unwrap();
    turn
}

/// A client with an unconnected socket.
fn unconnected() -> UnixStream {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None);
    let stream = UnixStream::from(socket.unwrap());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn connect(client: &UnixStream, path: &Path) {
    rustix::net::connect(client, &SocketAddrUnix::new(path).unwrap()).unwrap();
}

#[test]
fn without_descriptors_viewers_and_logs_continue_and_new_connections_wait() {
    let _turn = alone();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let config = Config {
        sockets: Sockets {
            control: Some(run.join("control.sock")),
            metrics: Some(run.join("metrics.sock")),
            consoles: Some(run.join("consoles")),
            ..Sockets::default()
        },
        log: logs_in(dir.path()),
        ..Config::default()
    };
    let machine = Machine::new();
    let heard = Heard::default();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let daemon = Daemon::start_heard(&machine, config, &heard);
    let plain = run.join(format!("consoles/{domid}/pv0.sock"));
    let mut early = unconnected();
    connect(&early, &plain);
    pv.send(b"before ");
    let mut seen = [0; 7];
    early.read_exact(&mut seen).unwrap();

    let mut late = unconnected();
    let mut asking = unconnected();
    let mut counting = unconnected();
    let full = All::take();
    // The logs must be reopened, which fails.
    daemon.handle.reopen_logs();
    connect(&late, &plain);
    connect(&asking, &run.join("control.sock"));
    asking.write_all(b"status\n").unwrap();
    connect(&counting, &run.join("metrics.sock"));
    counting.write_all(b"metrics\n").unwrap();
    wait_for("a line about it", || {
        (!heard.lines("cannot be accepted").is_empty()).then_some(())
    });
    pv.send(b"meanwhile");
    let mut seen = [0; 9];
    early.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"meanwhile");
    early.write_all(b"typed").unwrap();
    assert_eq!(pv.receive(5), b"typed");
    std::thread::sleep(Duration::from_secs(2));
    let lines = heard.lines("cannot be accepted");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("open files"), "{lines:#?}");

    // Waiting clients are served without reconnecting.
    drop(full);
    let mut seen = [0; 16];
    late.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"before meanwhile");
    let mut answer = String::new();
    asking.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("{\"version\":1"), "{answer}");
    let mut answer = String::new();
    counting.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("vconsoled_"), "{answer}");
    pv.send(b" after");
    late.read_exact(&mut [0; 6]).unwrap();
    daemon.stop().unwrap();
    let log = std::fs::read(dir.path().join("guest-guest.log")).unwrap();
    assert_eq!(String::from_utf8_lossy(&log), "before meanwhile after");
}

#[test]
fn without_descriptors_served_consoles_continue_and_others_wait() {
    let _turn = alone();
    let machine = Machine::new();
    let heard = Heard::default();
    let (domid, mut pv, _) = guest(&machine, "early");
    let daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let mut viewer = Viewer::open(&machine, domid, PV);

    let late = machine.create_domain("late").unwrap();
    let mut late_pv = PvDriver(machine.add_pv_console(late).unwrap());
    let mut store = machine.toolstack().unwrap();
    let full = All::take();
    machine.introduce(late);
    // It is retried, and each reason is reported once: descriptors released by
    // one attempt are taken, so the next can fail for another reason.
    wait_for("a line about it", || {
        (!heard.lines(&format!("domain {late} pv0")).is_empty()).then_some(())
    });
    for byte in 0..20 {
        pv.send(&[byte]);
        assert_eq!(viewer.read(1), [byte]);
        std::thread::sleep(Duration::from_millis(20));
    }
    let lines = heard.lines(&format!("domain {late} pv0"));
    let reasons = lines.iter().filter_map(|line| line.split_once(" pv0: "));
    let reasons: BTreeSet<_> = reasons.map(|(_, reason)| reason).collect();
    assert_eq!(lines.len(), reasons.len(), "{lines:#?}");
    let mut reasons = reasons.iter();
    assert!(reasons.all(|why| why.contains("open files")), "{lines:#?}");

    drop(full);
    late_pv.send(b"at last");
    let tty = wait_for("a tty", || {
        let name = store.read(&tty_path(late, PV)).unwrap()?;
        let name = String::from_utf8(name).unwrap();
        (!name.is_empty()).then_some(name)
    });
    assert!(tty.starts_with("/dev/pts/"));
    assert_eq!(Viewer::open(&machine, late, PV).read(7), b"at last");
    daemon.stop().unwrap();
}
