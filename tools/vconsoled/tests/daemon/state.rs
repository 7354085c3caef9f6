// SPDX-License-Identifier: MIT
//! What one daemon leaves for the next, and what may be wrong with it.

use crate::support::*;
use vconsoled::Config;
use vconsoled::buffer::{Checkpoint, OutputBuffer, Record};
use vpl011::ring::peer::RingPeer;
use xen_io::GrantRef;
use xen_io::fake::Machine;

#[test]
fn a_state_directory_that_cannot_be_costs_only_the_history() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        state_dir: Some(file.join("state")),
        ..Config::default()
    };
    let _daemon = Daemon::start(&machine, config);
    pv.send(b"served");
    assert_eq!(Viewer::open(&machine, domid, PV).read(6), b"served");
    assert_eq!(std::fs::read(file).unwrap(), b"precious");
}

#[test]
fn the_log_of_a_domain_that_went_meanwhile_is_completed() {
    let dir = tempfile::tempdir().unwrap();
    let (state, logs) = (dir.path().join("state"), dir.path().join("log"));
    std::fs::create_dir_all(&state).unwrap();
    std::fs::create_dir(&logs).unwrap();
    // A daemon was killed before it logged this, and then the domain ended.
    for (name, log) in [
        ("77-pv0", logs.join("a.log")),
        ("78-pv0", dir.path().join("b.log")),
    ] {
        let history = OutputBuffer::open(&state.join(name), "anybody", 1000).unwrap();
        history
            .append(b"last words", Checkpoint::default())
            .unwrap();
        history
            .write_record(Record::LogPath, log.as_os_str().as_encoded_bytes())
            .unwrap();
    }
    std::fs::write(state.join("79-pv0"), [0xff; 5000]).unwrap();
    let config = Config {
        state_dir: Some(state.clone()),
        log: logs_in(&logs),
        ..Config::default()
    };
    Daemon::start(&Machine::new(), config).stop().unwrap();
    assert_eq!(std::fs::read(logs.join("a.log")).unwrap(), b"last words");
    assert!(!dir.path().join("b.log").exists(), "logs are nowhere else");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
}

#[test]
fn what_another_backend_did_meanwhile_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("log");
    std::fs::create_dir(&logs).unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        state_dir: Some(dir.path().join("state")),
        log: logs_in(&logs),
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config.clone());
    pv.send(b"ours ");
    daemon.stop().unwrap();
    pv.send(b"theirs ");
    let hypervisor = machine.platform().unwrap().hypervisor;
    let mut other = RingPeer::new(hypervisor.map_grant(domid, GrantRef::CONSOLE).unwrap());
    let mut taken = [0; 100];
    let length = other.take_out(&mut taken).bytes;
    let path = logs.join("guest-guest.log");
    let log = [&std::fs::read(&path).unwrap()[..], &taken[..length]].concat();
    std::fs::write(&path, &log).unwrap();

    let daemon = Daemon::start(&machine, config);
    pv.send(b"ours again");
    daemon.stop().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"ours theirs ours again");
}
