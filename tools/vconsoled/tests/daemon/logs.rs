// SPDX-License-Identifier: MIT
//! Logs of the daemon on the fake host.

use std::sync::Arc;

use crate::support::*;
use vconsoled::Config;
use vconsoled::buffer::OutputBuffer;
use vconsoled::config::{Filter, Logs, Size};
use vconsoled::sink::log;
use xen_io::fake::Machine;

#[test]
fn logs_have_the_documented_names() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let machine = Machine::new();
    let (_, mut pv, mut uart) = guest(&machine, "web");
    let (evil, mut evil_pv, _) = guest(&machine, "../outside");
    let (odd, mut odd_pv, _) = guest(&machine, "o\u{1b}[2Jdd\n");
    let config = Config {
        log: Logs {
            filter: Filter::Dot,
            ..logs_in(&logs)
        },
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    pv.send(b"pv \x1b[0m\n");
    uart.send(b"uart\n");
    evil_pv.send(b"evil\n");
    odd_pv.send(b"odd\n");
    daemon.stop().unwrap();
    let read = |name: &str| std::fs::read_to_string(logs.join(name)).unwrap();
    assert_eq!(read("guest-web.log"), "pv .[0m\n");
    assert_eq!(read("guest-web-vuart0.log"), "uart\n");
    assert_eq!(read(&format!("guest-dom{evil}.log")), "evil\n");
    assert_eq!(read(&format!("guest-dom{odd}.log")), "odd\n");
    assert!(!outside.exists());
}

#[test]
fn logs_start_anew_when_they_were_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log: logs_in(dir.path()),
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    let path = dir.path().join("guest-guest.log");
    pv.send(b"before");
    wait_for("the log", || {
        let text = std::fs::read(&path);
        text.is_ok_and(|text| text == b"before").then_some(())
    });
    std::fs::rename(&path, dir.path().join("old")).unwrap();
    daemon.handle.reopen_logs();
    wait_for("a new log", || path.exists().then_some(()));
    pv.send(b"after");
    wait_for("the log", || {
        let text = std::fs::read(&path);
        text.is_ok_and(|text| text == b"after").then_some(())
    });
}

#[test]
fn a_log_that_cannot_be_opened_costs_only_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    std::os::unix::fs::symlink(&target, dir.path().join("guest-guest.log")).unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log: logs_in(dir.path()),
        ..Config::default()
    };
    let _daemon = Daemon::start(&machine, config);
    pv.send(b"served");
    assert_eq!(Viewer::open(&machine, domid, PV).read(6), b"served");
    assert!(!target.exists(), "the link was not followed");
}

/// The content of a log when the daemon has nothing more to write.
#[test]
fn a_log_that_can_be_written_at_last_is_complete_when_the_daemon_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("guest-guest.log");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    let options = log::LogOptions {
        style: log::Style {
            timestamps: false,
            filter: Filter::None,
        },
        rotation: log::Rotation { size: 0, count: 0 },
    };
    let output = OutputBuffer::in_memory(1 << 16).unwrap();
    output.append(b"said", output.checkpoint()).unwrap();
    let logs = log::Logs::start("logs").unwrap();
    logs.begin();
    let log = logs
        .open([path.clone()], options, Arc::new(output))
        .unwrap();
    wait_for("a failure", || log.failed().then_some(()));
    std::fs::remove_file(&path).unwrap();
    logs.finish(PATIENCE);
    assert_eq!(std::fs::read(&path).unwrap(), b"said");
}

fn logged(dir: &tempfile::TempDir, log: Logs, sent: &[u8]) -> Vec<(String, Vec<u8>)> {
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        log,
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    pv.send(sent);
    daemon.stop().unwrap();
    let mut files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let content = std::fs::read(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), content)
        })
        .filter(|(name, _)| !name.contains("vuart"))
        .collect();
    files.sort();
    files
}

/// Numbered lines.
fn lines(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("line {n} of output\r\n").into_bytes())
        .collect()
}

#[test]
fn a_log_that_is_full_begins_a_new_file_at_the_end_of_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let log = Logs {
        size: Size(10_000),
        count: 100,
        ..logs_in(dir.path())
    };
    let sent = lines(5000);
    let mut files = logged(&dir, log, &sent);
    let newest = files.remove(0);
    assert_eq!(newest.0, "guest-guest.log");
    files.sort_by_key(|(name, _)| {
        let number = name.rsplit_once('.').unwrap().1;
        std::cmp::Reverse(number.parse::<u32>().unwrap())
    });
    files.push(newest);
    let count = files.len();
    let mut all = Vec::new();
    for (at, (name, content)) in files.into_iter().enumerate() {
        let lines = content.strip_suffix(b"\r\n");
        let lines = lines.unwrap_or_else(|| panic!("{name} ends within a line"));
        // A line that would not fit begins a new file, except for the rest of a
        // line; and one write is at most three quarters of a file.
        let last = lines.iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        assert!(last <= 10_000, "{name}: {last} before its last line");
        assert!(
            at + 1 == count || content.len() > 2500,
            "{name}: {}",
            content.len()
        );
        all.extend(content);
    }
    assert!(all == sent, "lost, repeated or out of order");
}

#[test]
fn only_so_many_old_files_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = Logs {
        size: Size(4000),
        count: 2,
        ..logs_in(dir.path())
    };
    let sent = lines(5000);
    let files = logged(&dir, log, &sent);
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["guest-guest.log", "guest-guest.log.1", "guest-guest.log.2"];
    assert_eq!(names, expected);
    let tail = [&files[2].1[..], &files[1].1, &files[0].1].concat();
    assert!(sent.ends_with(&tail), "the newest are kept, in order");
}

#[test]
fn escape_sequences_are_left_out_unless_configured() {
    let dir = tempfile::tempdir().unwrap();
    let sent = b"\x1b[1;32mOK\x1b[0m \x1b]0;title\x07done\r\n";
    let files = {
        let log = Logs {
            filter: Filter::default(),
            ..logs_in(dir.path())
        };
        logged(&dir, log, sent)
    };
    assert_eq!(files[0].1, b"OK done\r\n");
}

#[test]
fn lines_start_with_the_time_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let machine = Machine::new();
    let (_, mut pv, _) = guest(&machine, "guest");
    let config = Config {
        state_dir: Some(dir.path().join("state")),
        log: Logs {
            timestamps: true,
            filter: Filter::Strip,
            ..logs_in(&logs)
        },
        ..Config::default()
    };
    // The restart is within a line, and within a sequence.
    for part in [&b"one\nt\x1b[3"[..], b"1mwo\nthree"] {
        let daemon = Daemon::start(&machine, config.clone());
        pv.send(part);
        daemon.stop().unwrap();
    }
    let log = std::fs::read_to_string(logs.join("guest-guest.log")).unwrap();
    let said: Vec<&str> = log
        .lines()
        .map(|line| {
            let (stamp, said) = line.split_at(STAMP);
            assert!(time(stamp).is_some(), "{line:?}");
            said
        })
        .collect();
    assert_eq!(said, ["Logfile Opened", "one", "two", "three"]);
}

/// Two guests that write at the same time, and two consoles of each.
#[test]
fn each_console_is_stamped_and_filtered_as_its_rule_says() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (_, mut stamped, mut raw) = guest(&machine, "stamped");
    let (_, mut plain, mut unlogged) = guest(&machine, "plain");
    let rules = Config::parse(
        "[[console]]\ndomain = \"stamped\"\nconsole = \"pv0\"\ntimestamps = true\nfilter = \"strip\"\n\
         [[console]]\ndomain = \"plain\"\nconsole = \"vuart0\"\nlog = false\n",
    );
    let config = Config {
        log: logs_in(dir.path()),
        rules: rules.unwrap().rules,
        ..Config::default()
    };
    let daemon = Daemon::start(&machine, config);
    for part in [&b"li\x1b[1"[..], b"mne\nnext\n"] {
        for console in [&mut stamped, &mut plain] {
            console.send(part);
        }
        for console in [&mut raw, &mut unlogged] {
            console.send(part);
        }
    }
    daemon.stop().unwrap();
    let log = |name: &str| std::fs::read_to_string(dir.path().join(name));
    let lines = log("guest-stamped.log").unwrap();
    let lines: Vec<&str> = lines.lines().map(|line| &line[STAMP..]).collect();
    assert_eq!(lines, ["Logfile Opened", "line", "next"]);
    for name in ["guest-stamped-vuart0.log", "guest-plain.log"] {
        assert_eq!(log(name).unwrap(), "li\x1b[1mne\nnext\n", "{name}");
    }
    assert!(log("guest-plain-vuart0.log").is_err());
}
