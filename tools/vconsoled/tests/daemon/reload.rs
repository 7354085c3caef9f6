// SPDX-License-Identifier: MIT
//! Another configuration for a running daemon.

use std::os::unix::net::UnixDatagram;
use std::thread;

use proptest::prelude::*;

use crate::support::*;
use vconsoled::Config;
use vconsoled::buffer::OutputBuffer;
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
    // The earlier guest is not affected.
    pv.send(b"three");
    assert_eq!(viewer.read(5), b"three");
    daemon.stop().unwrap();
}

/// The daemon was given access only to the folder that was configured at its start.
#[test]
fn another_folder_for_logs_waits_for_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let folders = ["first", "second"].map(|name| dir.path().join(name));
    for folder in &folders {
        std::fs::create_dir(folder).unwrap();
    }
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "guest");
    let config = Config {
        log: logs_in(&folders[0]),
        ..Config::default()
    };
    let heard = Heard::default();
    let daemon = Daemon::start_heard(&machine, config.clone(), &heard);
    let mut changed = config;
    changed.log.dir.clone_from(&folders[1]);
    daemon.handle.reload(Ok(changed.clone()));
    wait_for("what needs a restart", || {
        let lines = heard.lines("restart is needed for a change of log.dir");
        lines.first().cloned()
    });
    pv.send(b"said");
    let (later, mut its, _uart) = guest(&machine, "later");
    Viewer::open(&machine, later, PV);
    its.send(b"too");
    daemon.stop().unwrap();
    assert_eq!(logged(&folders[0], "guest-guest.log"), b"said");
    assert_eq!(logged(&folders[0], "guest-later.log"), b"too");
    assert!(folders[1].read_dir().unwrap().next().is_none());
    // After a restart the new folder is used.
    let daemon = Daemon::start(&machine, changed);
    pv.send(b" more");
    daemon.stop().unwrap();
    assert_eq!(logged(&folders[0], "guest-guest.log"), b"said");
    assert!(logged(&folders[1], "guest-guest.log").ends_with(b" more"));
}

#[test]
fn the_first_log_of_a_confined_daemon_waits_for_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "guest");
    let mut config = Config::default();
    config.process.sandbox = true;
    config.log.dir = dir.path().to_owned();
    let heard = Heard::default();
    let daemon = Daemon::start_heard(&machine, config.clone(), &heard);
    config.log = logs_in(dir.path());
    daemon.handle.reload(Ok(config));
    wait_for("what needs a restart", || {
        let lines = heard.lines("restart is needed for a change of log.guests");
        lines.first().cloned()
    });
    pv.send(b"said");
    let (later, mut its, _uart) = guest(&machine, "later");
    let mut viewer = Viewer::open(&machine, later, PV);
    its.send(b"too");
    assert_eq!(viewer.read(3), b"too");
    daemon.stop().unwrap();
    assert!(dir.path().read_dir().unwrap().next().is_none());
}

#[test]
fn logs_and_the_journal_follow_a_reload_while_consoles_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let (mut config, _control) = with_control(&dir);
    let logs = dir.path().join("log");
    std::fs::create_dir(&logs).unwrap();
    let journald = UnixDatagram::bind(dir.path().join("journal")).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    config.log = vconsoled::config::Logs {
        guests: false,
        journal_socket: dir.path().join("journal"),
        ..logs_in(&logs)
    };
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, config.clone());
    let log = logs.join("guest-guest.log");
    let mut say = |text: &str, expected: &str| {
        pv.send(text.as_bytes());
        wait_for(expected, || {
            let logged = std::fs::read_to_string(&log).unwrap_or_default();
            let lines = logged.lines().map(|line| match time(line) {
                Some(_) => format!("TIME {}\n", &line[STAMP..]),
                None => format!("{line}\n"),
            });
            (lines.collect::<String>() == expected).then_some(())
        });
    };
    say("before\n", "");
    let reload = |config: &Config| {
        daemon.handle.reload(Ok(config.clone()));
        until_looked_at(&machine);
    };
    config.log.guests = true;
    config.log.filter = vconsoled::config::Filter::None;
    reload(&config);
    // Output kept for viewers is logged too.
    say("\x1b[0mone\n", "before\n\x1b[0mone\n");
    config.log.filter = vconsoled::config::Filter::Strip;
    reload(&config);
    say("\x1b[0mtwo\n", "before\n\x1b[0mone\ntwo\n");
    config.log.timestamps = true;
    reload(&config);
    say("three\n", "before\n\x1b[0mone\ntwo\nTIME three\n");
    config.log.timestamps = false;
    config.log.size = vconsoled::config::Size(10);
    reload(&config);
    say("four\n", "four\n");
    config.log.guests = false;
    config.log.journal = true;
    reload(&config);
    say("to the journal\n", "four\n");
    let mut entry = [0; 4096];
    let length = journald.recv(&mut entry).unwrap();
    let entry = String::from_utf8_lossy(&entry[..length]).into_owned();
    assert!(entry.contains("to the journal"), "{entry}");
    config.log.journal = false;
    config.log.guests = true;
    config.log.size = vconsoled::config::Size(0);
    reload(&config);
    // A log that is switched on again continues where it stopped.
    say("five\n", "four\nto the journal\nfive\n");
    journald.set_nonblocking(true).unwrap();
    assert!(
        journald.recv(&mut [0; 4096]).is_err(),
        "nothing more for the journal"
    );
    daemon.stop().unwrap();
}

/// What happens before a line.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Log, recording and journal are switched on or off, and times and rotation.
    Reload([bool; 5]),
    Reopen,
    /// The next daemon has the last configuration.
    Restart,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => any::<[bool; 5]>().prop_map(Change::Reload),
        1 => Just(Change::Reopen),
        1 => Just(Change::Restart),
    ]
}

/// The lines that reach a journal.
fn entries(journald: &UnixDatagram, length: usize) -> String {
    let mut entries = String::new();
    while entries.len() < length {
        let mut entry = [0; 4096];
        let Ok(length) = journald.recv(&mut entry) else {
            return entries;
        };
        let entry = String::from_utf8_lossy(&entry[..length]);
        entries += entry
            .split_once("MESSAGE\n")
            .map_or("", |(_, text)| &text[8..]);
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// At any moment: each file has every line once, and so has the journal, because
    /// each continues where it stopped.
    #[test]
    fn whatever_is_switched_off_and_on_again_has_each_line_once(
        changes in prop::collection::vec(change(), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut config, control) = with_control(&dir);
        let state = dir.path().join("state");
        config.state_dir = Some(state.clone());
        let logs = dir.path().join("log");
        std::fs::create_dir(&logs).unwrap();
        let journald = UnixDatagram::bind(dir.path().join("journal")).unwrap();
        journald.set_read_timeout(Some(PATIENCE)).unwrap();
        config.log = vconsoled::config::Logs {
            journal: true,
            journal_rate: 0,
            journal_socket: dir.path().join("journal"),
            record: true,
            count: 1000,
            ..logs_in(&logs)
        };
        let machine = Machine::new();
        let (_, mut pv, _uart) = guest(&machine, "guest");
        let mut daemon = Daemon::start(&machine, config.clone());
        let all_files = || {
            let consoles = status(&control).consoles;
            let mut rows = consoles.iter().filter(|row| row.console == "pv0");
            let row = rows.next()?;
            (!row.log.is_empty() && !row.recording.is_empty()).then_some(())
        };
        // The journal begins when the console is first served with it.
        wait_for("the console", all_files);
        let last = [Change::Reload([true; 5])];
        let changes: Vec<Change> = changes.into_iter().chain(last).collect();
        let lines = (0..changes.len()).map(|step| format!("line {step}\n"));
        let lines: Vec<String> = lines.collect();
        let expected = lines.concat();
        let length = expected.len();
        // A daemon that ends waits for a full journal.
        let mut journald = Some(journald);
        let mut reader = None;
        let mut read = || journald.take().map(|one| thread::spawn(move || entries(&one, length)));
        for (line, change) in lines.iter().zip(changes) {
            match change {
                Change::Reload([log, record, journal, timestamps, small]) => {
                    config.log.guests = log;
                    config.log.record = record;
                    config.log.journal = journal;
                    config.log.timestamps = timestamps;
                    config.log.size = vconsoled::config::Size(if small { 64 } else { 0 });
                    daemon.handle.reload(Ok(config.clone()));
                }
                Change::Reopen => daemon.handle.reopen_logs(),
                Change::Restart => {
                    reader = reader.or_else(&mut read);
                    daemon.stop().unwrap();
                    // A thread that waits for the journal ends with its process.
                    for file in state.read_dir().unwrap() {
                        let path = file.unwrap().path();
                        wait_for("its files", || OutputBuffer::adopt(&path).map(drop));
                    }
                    daemon = Daemon::start(&machine, config.clone());
                }
            }
            pv.send(line.as_bytes());
        }
        wait_for("the last reload", all_files);
        let reader = reader.or_else(read).unwrap();
        prop_assert_eq!(&reader.join().unwrap(), &expected);
        daemon.stop().unwrap();
        let read = |name: &str| String::from_utf8(logged(&logs, name)).unwrap();
        let log = read("guest-guest.log");
        let lines = log.split_inclusive('\n').map(|line| match time(line) {
            Some(_) => &line[STAMP..],
            None => line,
        });
        let lines = lines.filter(|line| *line != "Logfile Opened\n");
        prop_assert_eq!(&lines.collect::<String>(), &expected);
        let recording = read("guest-guest.cast");
        // Each file has a header.
        let events = recording.lines().filter(|line| line.starts_with('['));
        let events = events.map(|line| {
            let (_, _, text): (f64, String, String) = serde_json::from_str(line).unwrap();
            text
        });
        prop_assert_eq!(&events.collect::<String>(), &expected);
    }
}
