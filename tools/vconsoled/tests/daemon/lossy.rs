// SPDX-License-Identifier: MIT
//! Lossy consoles, at which writers of input never wait.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::peer::connect;
use crate::support::*;
use terminal::noise;
use vconsoled::Config;
use vconsoled::config::Sockets;
use xen_io::fake::Machine;

/// More than all buffers between a writer of input and the guest.
const MUCH: usize = 4 << 20;
/// Size of an input ring.
const RING: usize = 1024;

fn sockets(dir: &TempDir) -> (Sockets, PathBuf, PathBuf) {
    let [control, consoles] = ["control", "consoles"].map(|name| dir.path().join("run").join(name));
    let sockets = Sockets {
        control: Some(control.clone()),
        consoles: Some(consoles.clone()),
        ..Sockets::default()
    };
    (sockets, control, consoles)
}

fn lossy(sockets: Sockets) -> Config {
    let rule = "[[console]]\nconsole = \"pv0\"\nlossy = true\n";
    Config {
        rules: Config::parse(rule).unwrap().rules,
        sockets,
        ..Config::default()
    }
}

/// Waits until all bytes are counted, and returns the number of lost ones.
fn lost(control: &Path, bytes: usize) -> u64 {
    wait_for("all to be counted", || {
        let status = status(control);
        let one = status.consoles.iter().find(|one| one.console == "pv0")?;
        (one.to_guest + one.input_lost == bytes as u64).then_some(one.input_lost)
    })
}

#[test]
fn input_without_room_is_discarded_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (sockets, control, consoles) = sockets(&dir);
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, lossy(sockets));
    let mut far_side = connect(&consoles.join(format!("{domid}/pv0.sock")));
    let typed = noise(MUCH);
    far_side.write_all(&typed).unwrap();
    assert_eq!(lost(&control, MUCH), (MUCH - RING) as u64);
    assert!(pv.receive(RING) == typed[..RING], "the oldest is kept");
    far_side.write_all(b"and on").unwrap();
    assert!(pv.receive(6) == *b"and on", "there is room again");
    assert_eq!(lost(&control, MUCH + 6), (MUCH - RING) as u64);
}

#[test]
fn a_reload_releases_a_blocked_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (sockets, control, consoles) = sockets(&dir);
    let machine = Machine::new();
    let (domid, _pv, _uart) = guest(&machine, "guest");
    let config = Config {
        sockets: sockets.clone(),
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    let mut far_side = connect(&consoles.join(format!("{domid}/pv0.sock")));
    let writer = std::thread::spawn(move || far_side.write_all(&noise(MUCH)));
    wait_for("a full ring", || {
        let status = status(&control);
        let one = status.consoles.iter().find(|one| one.console == "pv0")?;
        assert_eq!(one.input_lost, 0);
        (one.to_guest == RING as u64).then_some(())
    });
    assert!(!writer.is_finished(), "it is held up");
    daemon.handle.reload(Ok(lossy(sockets)));
    writer.join().unwrap().unwrap();
    assert_eq!(lost(&control, MUCH), (MUCH - RING) as u64);
}
