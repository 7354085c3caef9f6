// SPDX-License-Identifier: MIT
//! The log of the hypervisor's own messages.

use std::path::Path;

use crate::support::*;
use vconsoled::Config;
use vconsoled::config::Logs;
use xen_io::fake::Machine;

fn config(dir: &Path) -> Config {
    Config {
        log: Logs {
            hypervisor: true,
            dir: dir.to_owned(),
            ..Logs::default()
        },
        ..Config::default()
    }
}

fn wait_for_log(path: &Path, text: &str) {
    wait_for("the log", || {
        let log = std::fs::read_to_string(path).unwrap_or_default();
        assert!(log.len() <= text.len(), "{log:?}");
        (log == text).then_some(())
    });
}

#[test]
fn messages_of_the_hypervisor_are_logged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hypervisor.log");
    let machine = Machine::new();
    machine.say(b"(XEN) Xen version 4.17\n");
    let daemon = Daemon::start(&machine, config(dir.path()));
    wait_for_log(&path, "(XEN) Xen version 4.17\n");
    machine.say(b"(XEN) d1 came\n");
    wait_for_log(&path, "(XEN) Xen version 4.17\n(XEN) d1 came\n");

    std::fs::rename(&path, dir.path().join("old")).unwrap();
    daemon.handle.reopen_logs();
    wait_for("a new log", || path.exists().then_some(()));
    let flood = "(XEN) flood\n".repeat(10_000);
    machine.say(flood.as_bytes());
    wait_for_log(&path, &flood);
}

#[test]
fn each_message_starts_with_the_time_if_configured() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    machine.say(b"(XEN) one\n(XEN) two\n");
    let mut config = config(dir.path());
    config.log.hypervisor_timestamps = true;
    let _daemon = Daemon::start(&machine, config);
    let log = wait_for("the log", || {
        let log = std::fs::read_to_string(dir.path().join("hypervisor.log")).ok()?;
        log.ends_with("two\n").then_some(log)
    });
    for (line, said) in log
        .lines()
        .zip(["Logfile Opened", "(XEN) one", "(XEN) two"])
    {
        let stamp = line.strip_suffix(said).unwrap_or_default();
        assert!(stamp.starts_with("[20") && stamp.ends_with("] "), "{line}");
    }
}

#[test]
fn a_restart_repeats_nothing_and_misses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = tempfile::tempdir().unwrap();
    let path = dir.path().join("hypervisor.log");
    let machine = Machine::new();
    let mut config = config(dir.path());
    config.state_dir = Some(state.path().to_owned());
    machine.say(b"one\n");
    let daemon = Daemon::start(&machine, config.clone());
    wait_for_log(&path, "one\n");
    daemon.stop().unwrap();
    machine.say(b"two\n");
    let daemon = Daemon::start(&machine, config.clone());
    wait_for_log(&path, "one\ntwo\n");
    daemon.stop().unwrap();

    // Invalid records are ignored.
    let kept = state.path().join("hypervisor");
    for nonsense in [&[][..], &[0xff; 200], &[0; 8000]] {
        std::fs::write(&kept, nonsense).unwrap();
        std::fs::remove_file(&path).unwrap();
        let daemon = Daemon::start(&machine, config.clone());
        wait_for_log(&path, "one\ntwo\n");
        daemon.stop().unwrap();
    }
}

#[test]
fn guests_are_served_where_the_messages_are_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let mut other = machine.platform().unwrap();
    let _taken = other.events.bind_virq(xen_io::Virq::CON_RING).unwrap();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, config(dir.path()));
    pv.send(b"served");
    assert_eq!(Viewer::open(&machine, domid, PV).read(6), b"served");
}
