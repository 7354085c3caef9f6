// SPDX-License-Identifier: MIT
//! Recordings: all output of a console, and its input if configured, with times.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use vconsoled::Config;
use vconsoled::config::Size;
use xen_io::DomId;
use xen_io::fake::Machine;

use crate::support::*;

const CAST: &str = "guest-web.cast";

fn config(dir: &tempfile::TempDir) -> (Config, PathBuf) {
    let (mut config, control) = with_control(dir);
    config.state_dir = Some(dir.path().join("state"));
    config.log.dir = dir.path().join("log");
    std::fs::create_dir_all(&config.log.dir).unwrap();
    config.log.record = true;
    (config, control)
}

/// The path of a console's recording, from its status.
fn recording(control: &Path, domid: DomId, console: &str) -> String {
    let consoles = status(control).consoles;
    let mut rows = consoles.iter();
    let row = rows.find(|row| row.domid == domid.0 && row.console == console);
    row.map(|row| row.recording.clone()).unwrap_or_default()
}

#[test]
fn what_is_said_is_recorded_with_its_times_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut config, control) = config(&dir);
    // A log without times on the same output.
    config.log.guests = true;
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    let began = SystemTime::now();
    let daemon = Daemon::start(&machine, config.clone());
    let path = config.log.dir.join(CAST);
    assert_eq!(
        recording(&control, domid, "pv0"),
        path.display().to_string()
    );
    let text = "gr\u{fc}\u{df}e \x1b[1m\"\\\r\n";
    // A character comes in two pieces, the second after a restart.
    let (first, rest) = text.as_bytes().split_at(3);
    pv.send(first);
    wait_for("the first event", || {
        (events(&path).len() == 1).then_some(())
    });
    daemon.stop().unwrap();
    let daemon = Daemon::start(&machine, config.clone());
    pv.send(rest);
    wait_for("all of it", || (said(&path) == text).then_some(()));
    machine.destroy(domid).unwrap();
    daemon.stop().unwrap();
    let (header, events) = (header(&path), events(&path));
    assert_eq!(header["version"], 2);
    assert_eq!(
        (&header["width"], &header["height"]),
        (&80.into(), &24.into())
    );
    assert_eq!(header["title"], "web/pv0");
    let base = SystemTime::UNIX_EPOCH + Duration::from_secs(header["timestamp"].as_u64().unwrap());
    assert!(base + Duration::from_secs(1) >= began && base <= SystemTime::now());
    let mut last = 0.0;
    for (time, kind, _) in &events {
        assert_eq!(kind, "o");
        assert!(*time >= last, "{events:?}");
        let at = base + Duration::from_secs_f64(*time);
        assert!(
            at <= SystemTime::now() + Duration::from_millis(1),
            "{events:?}"
        );
        last = *time;
    }
}

#[test]
fn what_is_typed_is_recorded_where_a_rule_says_so_and_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut config, _control) = config(&dir);
    let rule = "[[console]]\ndomain = \"web\"\nconsole = \"vuart0\"\nrecord-input = true\n";
    config.rules = Config::parse(rule).unwrap().rules;
    let machine = Machine::new();
    let (domid, mut pv, mut uart) = guest(&machine, "web");
    let daemon = Daemon::start(&machine, config.clone());
    let path = |name: &str| config.log.dir.join(name);
    for (console, guest) in [(PV, &mut pv as &mut dyn Serial), (VUART, &mut uart)] {
        Viewer::open(&machine, domid, console).write(b"secret");
        assert_eq!(guest.receive(6), b"secret");
        guest.send(b"ok");
    }
    let typed = |path: &Path| -> String {
        let events = events(path).into_iter().filter(|(_, kind, _)| kind == "i");
        events.map(|(_, _, text)| text).collect()
    };
    let uart_path = path("guest-web-vuart0.cast");
    wait_for("what was typed", || {
        (typed(&uart_path) == "secret").then_some(())
    });
    for path in [path(CAST), uart_path] {
        wait_for("what was said", || (said(&path) == "ok").then_some(()));
    }
    daemon.stop().unwrap();
    assert!(
        !std::fs::read_to_string(path(CAST))
            .unwrap()
            .contains("secret")
    );
}

#[test]
fn a_recording_is_rotated_and_each_of_its_files_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut config, _control) = config(&dir);
    config.log.size = Size(4000);
    config.log.count = 1000;
    let machine = Machine::new();
    let (_domid, mut pv, _uart) = guest(&machine, "web");
    let daemon = Daemon::start(&machine, config.clone());
    let lines = (0..2000).map(|line| format!("line \x1b[{line}m\n"));
    let text = lines.collect::<Vec<_>>().concat();
    pv.send(text.as_bytes());
    let path = config.log.dir.join(CAST);
    let files = || -> Vec<PathBuf> {
        let old = old_files(&config.log.dir, CAST)
            .into_iter()
            .map(|(_, path)| path);
        old.chain([path.clone()]).collect()
    };
    wait_for("all of it", || {
        let all: String = files().iter().map(|path| said(path)).collect();
        (all == text).then_some(())
    });
    assert!(files().len() > 3);
    for path in files() {
        assert_eq!(header(&path)["title"], "web/pv0");
        assert!(
            std::fs::metadata(&path).unwrap().len() < 5000,
            "{}",
            path.display()
        );
    }
    // The file is emptied, and then replaced by another.
    std::fs::write(&path, "").unwrap();
    pv.send(b"emptied");
    wait_for("a new beginning", || {
        (said(&path) == "emptied").then_some(())
    });
    assert_eq!(header(&path)["version"], 2);
    daemon.stop().unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "no recording\n").unwrap();
    let daemon = Daemon::start(&machine, config.clone());
    pv.send(b"again");
    wait_for("another file", || (said(&path) == "again").then_some(()));
    let aside = std::fs::read_to_string(path.with_extension("cast.1")).unwrap();
    assert_eq!(aside, "no recording\n");
    daemon.stop().unwrap();
}

#[test]
fn a_reload_begins_and_ends_recordings_of_consoles_that_are_served() {
    let dir = tempfile::tempdir().unwrap();
    let (config, control) = config(&dir);
    let machine = Machine::new();
    let (domid, mut pv, _uart) = guest(&machine, "web");
    let mut off = config.clone();
    off.log.record = false;
    let daemon = Daemon::start(&machine, off.clone());
    assert_eq!(recording(&control, domid, "pv0"), "");
    let path = config.log.dir.join(CAST);
    for (config, is_on, line) in [
        (&config, true, "one\n"),
        (&off, false, "two\n"),
        (&config, true, "three\n"),
    ] {
        daemon.handle.reload(Ok(config.clone()));
        wait_for("the reload", || {
            (recording(&control, domid, "pv0").is_empty() != is_on).then_some(())
        });
        pv.send(line.as_bytes());
        wait_for("it to be taken", || {
            let consoles = status(&control).consoles;
            let mut rows = consoles.iter().filter(|row| row.console == "pv0");
            rows.all(|row| row.out_waiting == 0).then_some(())
        });
    }
    // It continues where it stopped, with the output in the buffer.
    wait_for("all of it", || {
        (said(&path) == "one\ntwo\nthree\n").then_some(())
    });
    daemon.stop().unwrap();
}

fn header(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

/// The output in a file's events.
fn said(path: &Path) -> String {
    let events = events(path).into_iter().filter(|(_, kind, _)| kind == "o");
    events.map(|(_, _, text)| text).collect()
}

/// The events of a file, as far as written.
fn events(path: &Path) -> Vec<(f64, String, String)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
