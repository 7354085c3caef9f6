// SPDX-License-Identifier: MIT
//! Watch rules: matching lines of guests are counted and sent to the journal,
//! once each.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::journal::counting;
use crate::support::*;
use vconsoled::Config;
use xen_io::DomId;
use xen_io::fake::Machine;

const PANIC: &[u8] = b"[    1.0] Kernel panic - not syncing: \x1b[1mtest\x1b[0m\r\n";

const RULES: &str = "[[watch]]\nname = \"panic\"\nset = \"kernel-panic\"\ndomains = [\"web*\"]\n\
                     [[watch]]\nname = \"prompt\"\nset = \"login-prompt\"\ndomains = [\"web*\"]\n\
                     [[watch]]\nname = \"test\"\nmatch = '(?i)TEST$'\ndomains = [\"web*\"]\n\
                     consoles = [\"pv0\"]\n";

/// A folder for a daemon, and its journal.
struct Place {
    dir: tempfile::TempDir,
    journald: UnixDatagram,
    config: Config,
    control: PathBuf,
}

impl Place {
    fn new(rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journald = UnixDatagram::bind(&path).unwrap();
        journald.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut config, control) = with_control(&dir);
        config.state_dir = Some(dir.path().join("state"));
        config.log.journal_socket = path;
        config.watch = rules_of(rules);
        Self {
            dir,
            journald,
            config,
            control,
        }
    }

    /// The next entry's fields; each may occur several times.
    fn next(&self) -> BTreeMap<String, Vec<String>> {
        let mut buffer = [0; 8192];
        let length = self.journald.recv(&mut buffer).expect("an entry");
        let mut rest = &buffer[..length];
        let mut fields = BTreeMap::<String, Vec<String>>::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(rest[..end].to_vec()).unwrap();
            let (size, value) = rest[end + 1..].split_at(8);
            let size = usize::try_from(u64::from_le_bytes(size.try_into().unwrap())).unwrap();
            let value_text = String::from_utf8(value[..size].to_vec()).unwrap();
            fields.entry(name).or_default().push(value_text);
            rest = &value[size + 1..];
        }
        fields
    }

    /// The rules and the line of the next entry.
    fn told(&self) -> (String, String) {
        let entry = self.next();
        (
            entry["VCONSOLED_WATCH"].join(" "),
            entry["MESSAGE"].concat(),
        )
    }

    fn matches(&self, domid: DomId, console: &str) -> String {
        matches(&self.control, domid, console)
    }
}

fn rules_of(text: &str) -> vconsoled::config::WatchRules {
    Config::parse(text).unwrap().watch
}

/// Number of matches of each rule at a console.
fn matches(control: &Path, domid: DomId, console: &str) -> String {
    let consoles = status(control).consoles;
    let row = consoles
        .iter()
        .find(|row| row.domid == domid.0 && row.console == console);
    let matches = row.unwrap().matches.iter();
    let matches = matches.map(|(rule, count)| format!("{rule}={count}"));
    matches.collect::<Vec<_>>().join(" ")
}

#[test]
fn lines_that_rules_find_are_counted_and_reported() {
    let mut place = Place::new(RULES);
    let metrics = place.dir.path().join("metrics.sock");
    place.config.sockets.metrics = Some(metrics.clone());
    let machine = Machine::new();
    let (web, mut pv, mut uart) = guest(&machine, "web-1");
    let (db, mut other, _uart) = guest(&machine, "db");
    let daemon = Daemon::start(&machine, place.config.clone());
    other.send(PANIC);
    let (first, rest) = PANIC.split_at(20);
    pv.send(first);
    pv.send(b"");
    pv.send(rest);
    let entry = place.next();
    for (name, value) in [
        ("PRIORITY", "4"),
        ("SYSLOG_IDENTIFIER", "vconsoled-watch"),
        ("DOMID", "1"),
        ("DOMAIN", "web-1"),
        ("CONSOLE", "pv0"),
        ("VCONSOLED_WATCH", "panic test"),
        ("MESSAGE", "[    1.0] Kernel panic - not syncing: test"),
    ] {
        assert_eq!(entry[name].join(" "), value, "{name}");
    }
    uart.send(PANIC);
    assert_eq!(place.next()["VCONSOLED_WATCH"], ["panic"]);
    // The last line is incomplete.
    uart.send(b"nothing\nweb-1 login: ");
    assert_eq!(
        place.told(),
        ("prompt".to_owned(), "web-1 login:".to_owned())
    );
    assert_eq!(place.matches(web, "pv0"), "panic=1 prompt=0 test=1");
    assert_eq!(place.matches(web, "vuart0"), "panic=1 prompt=1");
    assert_eq!(place.matches(db, "pv0"), "");
    let text = ask(&metrics, "");
    let line = "vconsoled_console_matches_total\
                {domid=\"1\",domain=\"web-1\",console=\"vuart0\",rule=\"prompt\"} 1\n";
    assert!(text.contains(line), "{text}");
    // Input after a prompt is not another match.
    uart.send(b"root\nweb-1 login: ");
    assert_eq!(place.told().0, "prompt");
    assert_eq!(place.matches(web, "vuart0"), "panic=1 prompt=2");
    daemon.stop().unwrap();
}

#[test]
fn a_restart_finds_each_line_once() {
    let place = Place::new(RULES);
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    let daemon = Daemon::start(&machine, place.config.clone());
    pv.send(b"web login: ");
    assert_eq!(place.told().0, "prompt");
    daemon.stop().unwrap();
    let daemon = Daemon::start(&machine, place.config.clone());
    pv.send(b"\na line that is a tes");
    daemon.stop().unwrap();
    let daemon = Daemon::start(&machine, place.config.clone());
    pv.send(b"t\n");
    assert_eq!(
        place.told(),
        ("test".to_owned(), "a line that is a test".to_owned())
    );
    pv.send(b"what it says last is a test");
    wait_for("all of it", || {
        let consoles = status(&place.control).consoles;
        consoles
            .iter()
            .any(|row| row.from_guest == 29)
            .then_some(())
    });
    machine.destroy(domid).unwrap();
    assert_eq!(place.told().1, "what it says last is a test");
    daemon.stop().unwrap();
}

#[test]
fn a_reload_and_a_new_name_bring_other_rules() {
    let place = Place::new(RULES);
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    let daemon = Daemon::start(&machine, place.config.clone());
    let say = |pv: &mut PvDriver, text: &str| {
        pv.send(text.as_bytes());
        pv.send(b"\n");
    };
    say(&mut pv, "a test");
    assert_eq!(place.told().0, "test");
    let reload = |rules: &str, expected: &str| {
        let mut config = place.config.clone();
        config.watch = rules_of(rules);
        daemon.handle.reload(Ok(config));
        wait_for("other rules", || {
            (place.matches(domid, "pv0") == expected).then_some(())
        });
    };
    let test = "[[watch]]\nname = \"test\"\nmatch = 'other'\ndomains = [\"web*\"]\n";
    reload(test, "test=1");
    say(&mut pv, "a test, or another one");
    assert_eq!(place.told().1, "a test, or another one");
    assert_eq!(place.matches(domid, "pv0"), "test=2");
    machine
        .toolstack()
        .unwrap()
        .write(&format!("/local/domain/{domid}/name"), "db")
        .unwrap();
    wait_for("no rule", || {
        place.matches(domid, "pv0").is_empty().then_some(())
    });
    machine
        .toolstack()
        .unwrap()
        .write(&format!("/local/domain/{domid}/name"), "web-2")
        .unwrap();
    wait_for("the rule", || {
        (place.matches(domid, "pv0") == "test=0").then_some(())
    });
    say(&mut pv, "another");
    assert_eq!(place.next()["DOMAIN"], ["web-2"]);
    reload("", "");
    daemon.stop().unwrap();
}

/// The journal gets a part of a flood; the counters count all of it.
#[test]
fn a_flood_of_lines_is_counted_and_reported_in_part() {
    const LINES: u64 = 20_000;
    let mut place = Place::new(RULES);
    (
        place.config.log.journal_rate,
        place.config.log.journal_burst,
    ) = (50, 100);
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    let _daemon = Daemon::start(&machine, place.config.clone());
    let journald = place.journald.try_clone().unwrap();
    let reader = counting(journald, LINES);
    for _ in 0..LINES {
        pv.send(b"test\n");
    }
    let (sent, left_out) = reader.join().unwrap();
    assert!(
        sent >= 100 && left_out > 0,
        "{sent} sent, {left_out} left out"
    );
    assert_eq!(
        place.matches(domid, "pv0"),
        format!("panic=0 prompt=0 test={LINES}")
    );
}
