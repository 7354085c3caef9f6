// SPDX-License-Identifier: MIT
//! Another configuration for a daemon that serves.

use crate::support::*;
use vconsoled::Config;
use vconsoled::config::Overflow;
use xen_io::fake::Machine;

#[test]
fn a_reload_changes_what_it_can_and_a_bad_one_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (first, mut pv, _uart) = guest(&machine, "first");
    let config = Config {
        log: vconsoled::config::Logs {
            guests: false,
            ..logs_in(dir.path())
        },
        ..Config::default()
    };
    let heard = Heard::default();
    let daemon = Daemon::start_heard(&machine, config.clone(), &heard);
    let mut viewer = Viewer::open(&machine, first, PV);
    daemon.handle.reload(Err("line 3 is wrong".to_owned()));
    wait_for("the complaint", || {
        heard.lines("stays as it was: line 3 is wrong").pop()
    });
    pv.send(b"one");
    assert_eq!(viewer.read(3), b"one");

    let mut changed = config;
    changed.log.guests = true;
    changed.overflow = Overflow::Keep;
    changed.state_dir = Some("/nonexistent".into());
    daemon.handle.reload(Ok(changed));
    wait_for("what needs a restart", || {
        heard
            .lines("restart is needed for a change of state-dir")
            .pop()
    });
    let (second, mut later, _uart) = guest(&machine, "second");
    Viewer::open(&machine, second, PV);
    later.send(b"two\n");
    let log = dir.path().join("guest-second.log");
    wait_for("the new guest's log", || {
        (std::fs::read(&log).ok()? == b"two\n").then_some(())
    });
    // The guest that was there before notices nothing.
    pv.send(b"three");
    assert_eq!(viewer.read(5), b"three");
    daemon.stop().unwrap();
}
