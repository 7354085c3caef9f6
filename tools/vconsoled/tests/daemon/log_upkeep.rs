// SPDX-License-Identifier: MIT
//! Upkeep of old logs: compressed, and removed when they are too old or too much;
//! other files stay.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::*;
use vconsoled::Config;
use vconsoled::config::{Logs, Size};
use xen_io::fake::Machine;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn config(dir: &Path) -> Config {
    Config {
        log: Logs {
            size: Size(4000),
            count: 100,
            ..logs_in(dir)
        },
        ..Config::default()
    }
}

/// The names of a folder's entries.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn write(path: &Path, length: usize, age: Duration) {
    std::fs::write(path, vec![b'x'; length]).unwrap();
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn lines(from: usize, count: usize) -> String {
    let lines = from..from + count;
    let lines: Vec<String> = lines
        .map(|line| format!("line {line} of a log that is long\n"))
        .collect();
    lines.concat()
}

#[test]
fn old_logs_are_compressed_while_the_guest_runs_and_have_every_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.log.compress = true;
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, config);
    let mut sent = String::new();
    for round in 0..5 {
        let text = lines(round * 1000, 1000);
        pv.send(text.as_bytes());
        sent += &text;
        wait_for("all old ones compressed", || {
            let names = names(dir.path());
            let plain = names.iter().filter(|name| !is_compressed(name));
            let logged = logged(dir.path(), "guest-guest.log").len() == sent.len();
            (logged && plain.eq(["guest-guest-vuart0.log", "guest-guest.log"].iter())).then_some(())
        });
    }
    daemon.stop().unwrap();
    assert!(logged(dir.path(), "guest-guest.log") == sent.as_bytes());
    let size = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().len();
    assert!(size(dir.path().join("guest-guest.log.2.zst")) < 2000);
}

#[test]
fn what_is_too_old_or_too_much_goes_and_what_is_not_ours_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for (name, age) in [
        ("guest-gone.log", 8),
        ("guest-gone.log.1", 9),
        ("guest-gone.log.2.zst", 10),
        ("guest-here.log", 20),
        ("guest-here.log.1", 21),
        ("guest-late.log", 3),
        ("guest-late.log.1", 4),
        ("guest-late.log.2", 5),
        ("guest-late.log.zst.part", 0),
        ("guest-gone.log.1.gz", 30),
        ("notes", 30),
    ] {
        write(&path(name), 1000, DAY * age);
    }
    std::os::unix::fs::symlink(path("notes"), path("guest-gone.log.3")).unwrap();
    let mut config = config(dir.path());
    config.log.keep_days = 7;
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "here");
    let daemon = Daemon::start(&machine, config.clone());
    let stays = [
        "guest-gone.log.1.gz",
        "guest-gone.log.3",
        "guest-here-vuart0.log",
        "guest-here.log",
    ];
    let late = ["guest-late.log", "guest-late.log.1", "guest-late.log.2"];
    let expected = |late: &[&'static str]| {
        let mut all = [&stays[..], late, &["notes"]].concat();
        all.sort_unstable();
        all
    };
    wait_for("the old ones to go", || {
        (names(dir.path()) == expected(&late)).then_some(())
    });
    // By a reload: the open log has 1000 bytes, and so have the files of `late`.
    config.log.total = Size(3500);
    daemon.handle.reload(Ok(config.clone()));
    wait_for("the oldest to go", || {
        (names(dir.path()) == expected(&late[..2])).then_some(())
    });
    // After a rotation more are removed; the last file of a closed guest goes last.
    pv.send(lines(0, 110).as_bytes());
    wait_for("the oldest to go", || {
        (names(dir.path()) == expected(&late[..1])).then_some(())
    });
    daemon.stop().unwrap();
    assert_eq!(std::fs::read(path("notes")).unwrap().len(), 1000);
}

#[test]
fn fewer_are_kept_from_a_reload_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let machine = Machine::new();
    let (_, mut pv, _uart) = guest(&machine, "guest");
    let daemon = Daemon::start(&machine, config.clone());
    pv.send(lines(0, 1000).as_bytes());
    wait_for("many files", || (names(dir.path()).len() > 8).then_some(()));
    config.log.count = 2;
    daemon.handle.reload(Ok(config));
    wait_for("few", || {
        let old = names(dir.path())
            .iter()
            .filter(|name| name.contains(".log."))
            .count();
        (old == 2).then_some(())
    });
    daemon.stop().unwrap();
}
