// SPDX-License-Identifier: MIT
//! The limit on open files is the process's, so this test has one to itself.
#![forbid(unsafe_code)]

#[expect(dead_code, reason = "most of it is for other tests")]
#[path = "daemon/support.rs"]
mod support;

use std::fs::File;

use rustix::process::{Resource, getrlimit, setrlimit};
use vconsoled::Config;
use xen_io::fake::Machine;

use support::*;

/// Takes every descriptor there is.
fn take_all() -> Vec<File> {
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    taken
}

#[test]
fn without_descriptors_what_is_served_goes_on_and_the_rest_waits() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(400);
    setrlimit(Resource::Nofile, limit).unwrap();
    let machine = Machine::new();
    let heard = Heard::default();
    let (domid, mut pv, _) = guest(&machine, "early");
    let daemon = Daemon::start_heard(&machine, Config::default(), &heard);
    let mut viewer = Viewer::open(&machine, domid, PV);

    let late = machine.create_domain("late").unwrap();
    let mut late_pv = PvDriver(machine.add_pv_console(late).unwrap());
    let mut store = machine.toolstack().unwrap();
    let full = take_all();
    machine.introduce(late);
    // It is tried again and again, and said once.
    wait_for("a line about it", || {
        (!heard.lines(&format!("domain {late} pv0")).is_empty()).then_some(())
    });
    for byte in 0..20 {
        pv.send(&[byte]);
        assert_eq!(viewer.read(1), [byte]);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let lines = heard.lines(&format!("domain {late} pv0"));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("open files"), "{lines:#?}");

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
