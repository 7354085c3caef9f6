// SPDX-License-Identifier: MIT
//! Owners of log files, and their content after several daemons: every line once,
//! also those of other programs.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::support::*;
use vconsoled::Config;
use xen_io::fake::Machine;

/// A daemon's configuration with state and logs in a folder.
fn config(dir: &Path) -> Config {
    let logs = dir.join("log");
    std::fs::create_dir_all(&logs).unwrap();
    Config {
        state_dir: Some(dir.join("state")),
        log: logs_in(&logs),
        ..Config::default()
    }
}

fn log(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join("log").join(name)).unwrap()
}

fn lines(tag: &str, from: usize, count: usize) -> String {
    let lines: Vec<String> = (from..from + count)
        .map(|number| format!("{tag} {number}\n"))
        .collect();
    lines.concat()
}

#[test]
fn consoles_whose_logs_would_have_one_name_have_a_file_each_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let machine = Machine::new();
    // A name that looks like another guest's console, a duplicate name, and one
    // that looks like the fallback name of a guest with an invalid name.
    let names = ["web", "web-vuart0", "web", "a/b", "dom4", "web-vuart0.dom3"];
    let mut guests: Vec<_> = names.iter().map(|name| guest(&machine, name)).collect();
    for round in 0..4 {
        let daemon = Daemon::start(&machine, config.clone());
        for (domid, pv, uart) in &mut guests {
            pv.send(lines(&format!("{domid}-pv"), round * 50, 50).as_bytes());
            uart.send(lines(&format!("{domid}-uart"), round * 50, 50).as_bytes());
        }
        daemon.stop().unwrap();
    }
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir.path().join("log")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let text = log(dir.path(), &name);
        let tag = text.split_once(' ').unwrap().0.to_owned();
        assert_eq!(text, lines(&tag, 0, 200), "{name}");
        assert_eq!(found.insert(tag, name), None);
    }
    assert_eq!(found.len(), 2 * names.len(), "{found:?}");
    assert_eq!(found["1-pv"], "guest-web.log");
}

#[test]
fn a_guest_that_rebooted_while_there_was_no_daemon_loses_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let machine = Machine::new();
    let path = dir.path().join("log/guest-guest.log");
    let mut expected = String::new();
    for boot in 0..4 {
        let (domid, mut pv, _uart) = guest(&machine, "guest");
        // It writes before a daemon runs, and ends while none does.
        let early = lines(&format!("boot {boot} early"), 0, 25);
        pv.send(early.as_bytes());
        let daemon = Daemon::start(&machine, config.clone());
        let served = lines(&format!("boot {boot} served"), 0, 25);
        pv.send(served.as_bytes());
        daemon.stop().unwrap();
        machine.destroy(domid).unwrap();
        // A boot that another backend logged to the same file.
        let elsewhere = lines(&format!("boot {boot} elsewhere"), 0, 25);
        let mut log = OpenOptions::new().append(true).open(&path).unwrap();
        log.write_all(elsewhere.as_bytes()).unwrap();
        expected += &(early + &served + &elsewhere);
    }
    Daemon::start(&machine, config).stop().unwrap();
    assert_eq!(log(dir.path(), "guest-guest.log"), expected);
}

#[test]
fn what_other_programs_write_to_a_log_stays_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "guest");
    let path = dir.path().join("log/guest-guest.log");
    let mut expected = String::new();
    for round in 0..4 {
        let daemon = Daemon::start(&machine, config.clone());
        for part in 0..2 {
            let said = lines("guest", round * 20 + part * 10, 10);
            pv.send(said.as_bytes());
            expected += &said;
            wait_for("the log", || {
                (std::fs::read_to_string(&path).unwrap_or_default() == expected).then_some(())
            });
            expected += &lines(&format!("operator {round}"), part, 1);
            std::fs::write(&path, &expected).unwrap();
        }
        daemon.stop().unwrap();
        expected += &lines("operator", round, 1);
        std::fs::write(&path, &expected).unwrap();
    }
    Daemon::start(&machine, config).stop().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn a_log_that_was_moved_removed_or_emptied_is_found_again_at_the_next_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "guest");
    let _daemon = Daemon::start(&machine, config);
    let path = dir.path().join("log/guest-guest.log");
    let mut say = |text: &str| {
        pv.send(text.as_bytes());
        wait_for(text, || {
            (std::fs::read_to_string(&path).ok()? == text).then_some(())
        });
    };
    say("first\n");
    std::fs::rename(&path, dir.path().join("moved")).unwrap();
    say("after a move\n");
    std::fs::remove_file(&path).unwrap();
    say("after a removal\n");
    std::fs::write(&path, "").unwrap();
    say("after it was emptied\n");
    assert_eq!(
        std::fs::read_to_string(dir.path().join("moved")).unwrap(),
        "first\n"
    );
}
