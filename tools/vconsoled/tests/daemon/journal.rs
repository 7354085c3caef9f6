// SPDX-License-Identifier: MIT
//! Guests' lines in the journal.

use std::os::unix::net::UnixDatagram;
use std::thread::JoinHandle;

use crate::support::*;
use vconsoled::Config;
use xen_io::fake::Machine;

#[test]
fn lines_reach_the_journal_by_rule_and_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 4096];
        let length = journald.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut config = Config::parse(&format!(
        "state-dir = \"\"\naudit.journal = false\n[sockets]\ncontrol = \"\"\nmetrics = \"\"\nconsoles = \"\"\n\
         [process]\nuser = \"\"\nsandbox = false\nfolders = []\n\
         [log]\njournal = true\njournal-socket = \"{}\"\n\
         [[console]]\ndomain = \"secret\"\njournal = false\n",
        path.display()
    ))
    .unwrap();
    config.state_dir = Some(dir.path().join("state"));
    let machine = Machine::new();
    let (_, mut secret, _first) = guest(&machine, "secret");
    let (_, mut pv, mut uart) = guest(&machine, "web");
    let daemon = Daemon::start(&machine, config.clone());
    secret.send(b"nothing of this\n");
    uart.send(b"from the uart\r\n");
    let entry = hear();
    for part in ["from the uart\n", "web\n", "vuart0\n"] {
        assert!(entry.contains(part), "{entry:?}");
    }
    pv.send(b"one\n");
    assert!(hear().contains("one\n"));
    daemon.stop().unwrap();
    let _daemon = Daemon::start(&machine, config);
    pv.send(b"two\n");
    let entry = hear();
    assert!(
        entry.contains("two\n") && !entry.contains("one\n"),
        "{entry:?}"
    );
}

/// Every line is sent or counted, and entries report the number left out.
#[test]
fn a_guest_that_prints_too_much_has_lines_left_out_which_are_counted() {
    const LINES: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut config, control) = with_control(&dir);
    config.log.journal = true;
    config.log.journal_socket = path;
    config.log.journal_rate = 50;
    config.log.journal_burst = 100;
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    let _daemon = Daemon::start(&machine, config);
    let reader = counting(journald, LINES);
    let began = std::time::Instant::now();
    for _ in 0..LINES {
        pv.send(b"x\n");
    }
    let (sent, left_out) = reader.join().unwrap();
    let most = 100 + 50 * (began.elapsed().as_secs() + 1);
    assert!((100..=most).contains(&sent), "{sent} of {most} at most");
    let row = status(&control).consoles;
    let row = row
        .iter()
        .find(|row| row.domid == domid.0 && row.console == "pv0");
    assert_eq!(row.unwrap().journal_lost, left_out);
}

/// A line split by a restart is one entry, and no line is sent twice.
#[test]
fn a_line_that_a_restart_cuts_is_one_entry() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let journald = UnixDatagram::bind(&path).unwrap();
    journald.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut config, _control) = with_control(&dir);
    config.state_dir = Some(dir.path().join("state"));
    config.log.journal = true;
    config.log.journal_socket = path;
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    for part in ["one\ntw", "o\nth", "ree\nrest"] {
        let daemon = Daemon::start(&machine, config.clone());
        pv.send(part.as_bytes());
        daemon.stop().unwrap();
    }
    let daemon = Daemon::start(&machine, config);
    machine.destroy(domid).unwrap();
    let mut messages = Vec::new();
    while messages.last().is_none_or(|last| last != "rest") {
        let mut entry = [0; 4096];
        let length = journald.recv(&mut entry).unwrap();
        let entry = &entry[..length - 1];
        let at = entry.windows(8).position(|part| part == b"MESSAGE\n");
        let message = &entry[at.unwrap() + 16..];
        messages.push(String::from_utf8(message.to_vec()).unwrap());
    }
    assert_eq!(messages, ["one", "two", "three", "rest"]);
    daemon.stop().unwrap();
}

/// Reads until every line was sent or counted as left out; returns both numbers.
pub(crate) fn counting(journald: UnixDatagram, lines: u64) -> JoinHandle<(u64, u64)> {
    std::thread::spawn(move || {
        let (mut sent, mut left_out) = (0, 0);
        while sent + left_out < lines {
            let mut entry = [0; 4096];
            let length = journald.recv(&mut entry).expect("every line in time");
            let entry = String::from_utf8_lossy(&entry[..length]).into_owned();
            match entry.split_once(" lines left out]") {
                Some((before, _)) => {
                    let count = before.rsplit('[').next().unwrap();
                    left_out += count.parse::<u64>().unwrap();
                }
                None => sent += 1,
            }
        }
        (sent, left_out)
    })
}
