// SPDX-License-Identifier: MIT
//! Logs of the daemon on the fake host.

use crate::support::*;
use vconsoled::Config;
use vconsoled::config::{Filter, Logs};
use xen_io::fake::Machine;

#[test]
fn logs_are_named_as_people_expect() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let machine = Machine::new();
    let (_, mut pv, mut uart) = guest(&machine, "web");
    let (evil, mut evil_pv, _) = guest(&machine, "../outside");
    let config = Config {
        log: Logs {
            filter: Filter::Dot,
            ..logs_in(&logs)
        },
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    pv.send(b"pv \x1b[0m\n");
    uart.send(b"uart\n");
    evil_pv.send(b"evil\n");
    daemon.stop().unwrap();
    let read = |name: &str| std::fs::read_to_string(logs.join(name)).unwrap();
    assert_eq!(read("guest-web.log"), "pv .[0m\n");
    assert_eq!(read("guest-web-vuart0.log"), "uart\n");
    assert_eq!(read(&format!("guest-dom{evil}.log")), "evil\n");
    assert!(!outside.exists());
}

#[test]
fn logs_start_anew_when_they_were_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log: logs_in(dir.path()),
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    let path = dir.path().join("guest-guest.log");
    pv.send(b"before");
    wait_for("the log", || {
        (std::fs::read(&path).unwrap() == b"before").then_some(())
    });
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    daemon.handle.reopen_logs();
    wait_for("a new log", || path.exists().then_some(()));
    pv.send(b"after");
    wait_for("the log", || {
        (std::fs::read(&path).unwrap() == b"after").then_some(())
    });
}

#[test]
fn a_log_that_cannot_be_opened_costs_only_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    std::os::unix::fs::symlink(&target, dir.path().join("guest-guest.log")).unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log: logs_in(dir.path()),
        ..Config::default()
    };
    let _daemon = Daemon::start(&machine, config);
    pv.send(b"served");
    assert_eq!(Viewer::open(&machine, domid, PV).read(6), b"served");
    assert!(!target.exists(), "the link was not followed");
}
