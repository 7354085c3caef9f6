// SPDX-License-Identifier: MIT
//! Notifications for a service manager.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::Process;
use crate::support::PATIENCE;

/// The period of the watchdog, in microseconds.
const PERIOD: u64 = 300_000;

fn start(socket: &std::path::Path, variables: &[(&str, &str)]) -> Process {
    let socket = socket.to_str().unwrap();
    Process::start("", &[&[("NOTIFY_SOCKET", socket)], variables].concat())
}

struct Manager(UnixDatagram);

impl Manager {
    fn new(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message that is not about stored descriptors.
    fn hear(&self) -> String {
        let mut buffer = [0; 256];
        loop {
            let length = self.0.recv(&mut buffer).unwrap();
            let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if !said.starts_with("FDSTORE") {
                return said;
            }
        }
    }

    /// The next message that is not a watchdog notification.
    fn read_news(&self) -> String {
        loop {
            let said = self.hear();
            if said != "WATCHDOG=1\n" {
                return said;
            }
        }
    }
}

pub(crate) fn the_manager_gets_readiness_reload_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::new(&path);
    let mut child = start(&path, &[]);
    assert_eq!(manager.hear(), "READY=1\n");
    child.tell("reopen");
    let reloading = manager.hear();
    let (word, time) = reloading.split_once('\n').unwrap();
    assert_eq!(word, "RELOADING=1");
    assert!(time.starts_with("MONOTONIC_USEC="), "{time}");
    assert_eq!(manager.hear(), "READY=1\n");
    child.end();
    assert_eq!(manager.hear(), "STOPPING=1\n");
    child.ended();
}

pub(crate) fn an_idle_loop_beats_and_one_that_has_ended_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::new(&path);
    // Before the first notification, in case this thread is delayed.
    let started = Instant::now();
    let mut child = start(&path, &[("WATCHDOG_USEC", &PERIOD.to_string())]);
    assert_eq!(manager.hear(), "READY=1\n");
    for _ in 0..6 {
        assert_eq!(manager.hear(), "WATCHDOG=1\n");
    }
    let took = started.elapsed();
    assert!(
        took > Duration::from_micros(PERIOD),
        "it woke up more often than the watchdog needs: {took:?}"
    );
    child.end();
    assert_eq!(manager.read_news(), "STOPPING=1\n");
    child.ended();
    manager.0.set_nonblocking(true).unwrap();
    let mut buffer = [0; 16];
    assert!(manager.0.recv(&mut buffer).is_err(), "a beat after the end");
}

pub(crate) fn a_watchdog_for_another_process_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = Manager::new(&path);
    let variables = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
    let mut child = start(&path, &variables);
    assert_eq!(manager.hear(), "READY=1\n");
    child.end();
    assert_eq!(manager.hear(), "STOPPING=1\n");
    child.ended();
}
