// SPDX-License-Identifier: MIT
//! State that one daemon leaves for the next, and its possible faults.

use crate::peer::Attached;
use crate::support::*;
use vconsoled::Config;
use vconsoled::buffer::{Checkpoint, OutputBuffer, Record};
use vpl011::ring::peer::RingPeer;
use xen_io::GrantRef;
use xen_io::fake::Machine;
use xen_io::xenstore::domain_path;

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
        let owner = format!("vconsoled 1 {} anybody", boot());
        let history = OutputBuffer::open(&state.join(name), &owner, 1000).unwrap();
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

/// The identity of this boot.
fn boot() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    boot.trim().to_owned()
}

/// What distinguishes a domain from another one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Nothing,
    Boot,
    Uuid,
    Start,
}

#[test]
fn output_of_another_domain_of_that_number_is_not_used() {
    for change in [Change::Nothing, Change::Boot, Change::Uuid, Change::Start] {
        let dir = tempfile::tempdir().unwrap();
        let (mut config, control) = with_control(&dir);
        let state = dir.path().join("state");
        config.state_dir = Some(state.clone());
        let machine = Machine::new();
        let (domid, mut pv, _uart) = guest(&machine, "guest");
        let mut store = machine.toolstack().unwrap();
        let vm = format!("{}/vm", domain_path(domid));
        let uuid = String::from_utf8(store.read(&vm).unwrap().unwrap()).unwrap();
        let start = format!("{uuid}/start_time");
        store.write(&start, "1764432000.10").unwrap();
        let daemon = Daemon::start(&machine, config.clone());
        pv.send(b"before");
        let members = format!(r#""domid":{domid},"console":"pv0""#);
        assert_eq!(Attached::new(&control, &members).read(6), b"before");
        daemon.stop().unwrap();
        match change {
            Change::Nothing => {}
            Change::Boot => {
                let path = state.join(format!("{domid}-pv0"));
                let output = OutputBuffer::adopt(&path).unwrap();
                let owner = output.record(Record::Owner).unwrap();
                let owner = String::from_utf8(owner).unwrap();
                assert!(owner.contains(&boot()), "{owner}");
                let other = owner.replace(&boot(), "8f3c1f0e-5a53-4f6c-9d0b-6a0f6f1c2b3d");
                output
                    .write_record(Record::Owner, other.as_bytes())
                    .unwrap();
            }
            Change::Uuid => store.write(&vm, "/vm/another").unwrap(),
            Change::Start => store.write(&start, "1764432000.11").unwrap(),
        }
        let _daemon = Daemon::start(&machine, config);
        pv.send(b" after");
        let mut viewer = Attached::new(&control, &members);
        let expected = match change {
            Change::Nothing => &b"before after"[..],
            _ => b" after",
        };
        assert_eq!(viewer.read(expected.len()), expected, "{change:?}");
    }
}

#[test]
fn what_is_left_of_another_boot_is_removed_and_not_logged() {
    let dir = tempfile::tempdir().unwrap();
    let (state, logs) = (dir.path().join("state"), dir.path().join("log"));
    std::fs::create_dir_all(&state).unwrap();
    std::fs::create_dir(&logs).unwrap();
    for (name, boot) in [("77-pv0", "another"), ("78-pv0", &boot())] {
        let owner = format!("vconsoled 1 {boot} anybody");
        let output = OutputBuffer::open(&state.join(name), &owner, 1000).unwrap();
        output.append(b"last words", Checkpoint::default()).unwrap();
        let log = logs.join(name);
        output
            .write_record(Record::LogPath, log.as_os_str().as_encoded_bytes())
            .unwrap();
    }
    let config = Config {
        state_dir: Some(state.clone()),
        log: logs_in(&logs),
        ..Config::default()
    };
    Daemon::start(&Machine::new(), config).stop().unwrap();
    assert_eq!(std::fs::read(logs.join("78-pv0")).unwrap(), b"last words");
    assert!(!logs.join("77-pv0").exists());
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0);
}
