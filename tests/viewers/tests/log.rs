// SPDX-License-Identifier: MIT
//! `vconsole log` through changes of the files: rotation, by the daemon or by other
//! programs, removal, a clock that is set back, and the end of the guest.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::Signal;
use vconsoled::config::Filter;
use viewers::{Guest, Host, Program, wait_for};

fn host() -> (Host, Guest, PathBuf) {
    let host = Host::with(|config| {
        config.log.guests = true;
        config.log.filter = Filter::None;
    });
    let (_, pv, _vuart) = host.guest("guest");
    let log = host.dir.path().join("log/guest-guest.log");
    (host, pv, log)
}

fn until_logged(log: &Path, end: &[u8]) {
    wait_for("a line in the log", || {
        std::fs::read(log)
            .is_ok_and(|text| text.ends_with(end))
            .then_some(())
    });
}

fn numbered(log: &Path, number: u32) -> PathBuf {
    log.with_extension(format!("log.{number}"))
}

#[test]
fn a_log_that_was_emptied_is_followed() {
    let (host, mut pv, log) = host();
    pv.send(b"one\n");
    until_logged(&log, b"one\n");
    let mut follower = Program::piped(host.vconsole("log -f guest"));
    assert_eq!(follower.read(4), b"one\n");
    // As logrotate's `copytruncate` does; the next text is longer.
    std::fs::write(&log, "").unwrap();
    pv.send(b"two and more\n");
    assert_eq!(follower.read(13), b"two and more\n");
    let said = follower.complaint("\n");
    assert!(said.ends_with("guest-guest.log: emptied]\n"), "{said}");
    follower.signal(Signal::TERM);
    assert!(follower.wait().success());
}

#[test]
fn numbers_may_be_missing() {
    let (host, mut pv, log) = host();
    pv.send(b"now\n");
    until_logged(&log, b"now\n");
    std::fs::write(numbered(&log, 2), "older\n").unwrap();
    std::fs::write(numbered(&log, 10), "oldest\n").unwrap();
    let output = host.vconsole("log guest").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "oldest\nolder\nnow\n");
}

#[test]
fn a_successor_is_followed_whatever_its_time() {
    let (host, mut pv, log) = host();
    pv.send(b"one\n");
    until_logged(&log, b"one\n");
    let mut follower = Program::piped(host.vconsole("log -f guest"));
    assert_eq!(follower.read(4), b"one\n");
    // Rotated with a gap in the numbers.
    std::fs::rename(&log, numbered(&log, 5)).unwrap();
    // It has the next output and an older modification time from the start.
    let mut next = std::fs::File::create(log.with_extension("new")).unwrap();
    next.write_all(b"two\n").unwrap();
    next.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    std::fs::rename(log.with_extension("new"), &log).unwrap();
    assert_eq!(follower.read(4), b"two\n");
    // The daemon continues with the file of that name.
    pv.send(b"three\n");
    assert_eq!(follower.read(6), b"three\n");
}

#[test]
fn a_log_that_was_removed_is_found_again() {
    let (host, mut pv, log) = host();
    pv.send(b"one\n");
    until_logged(&log, b"one\n");
    let mut follower = Program::piped(host.vconsole("log -f guest"));
    assert_eq!(follower.read(4), b"one\n");
    std::fs::remove_file(&log).unwrap();
    std::fs::write(&log, "two\n").unwrap();
    assert_eq!(follower.read(4), b"two\n");
}

#[test]
fn the_log_of_a_guest_that_is_gone_has_a_name() {
    let (mut host, mut pv, log) = host();
    pv.send(b"last words\n");
    until_logged(&log, b"last words\n");
    let domid = xen_io::DomId(1);
    host.machine.destroy(domid).unwrap();
    wait_for("no domain", || host.consoles().is_empty().then_some(()));
    let dir = log.parent().unwrap().display().to_string();
    let words = format!("log guest --dir {dir}");
    for _ in ["without the guest", "without the daemon"] {
        let output = host.vconsole(&words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && output.stdout == b"last words\n",
            "{said}"
        );
        host.stop_daemon();
    }
    // The log of another guest shows the folder.
    host.start_daemon();
    let _other = host.guest("other");
    let output = host.vconsole("log guest").output().unwrap();
    assert_eq!(output.stdout, b"last words\n");
    for nobody in ["log nobody", "log ../guest", "log guest/pv9"] {
        let output = host.vconsole(nobody).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.starts_with("vconsole: there is no domain"),
            "{nobody}: {said}"
        );
    }
}

/// Files are rotated and compressed while they are followed, and read again
/// afterwards.
#[test]
fn a_log_that_is_compressed_meanwhile_is_followed_and_read() {
    let host = Host::with(|config| {
        config.log.guests = true;
        config.log.filter = Filter::None;
        config.log.compress = true;
        config.log.size = vconsoled::config::Size(2000);
        config.log.count = 100;
    });
    let (_, mut pv, _vuart) = host.guest("guest");
    let log = host.dir.path().join("log/guest-guest.log");
    pv.send(b"first\n");
    until_logged(&log, b"first\n");
    let mut follower = Program::piped(host.vconsole("log -f guest"));
    assert_eq!(follower.read(6), b"first\n");
    let mut all = b"first\n".to_vec();
    for round in 0..10 {
        let lines = (0..100).map(|line| format!("line {line} of round {round}\n"));
        let text = lines.collect::<Vec<String>>().concat();
        pv.send(text.as_bytes());
        assert_eq!(follower.read(text.len()), text.as_bytes(), "{round}");
        all.extend(text.into_bytes());
        wait_for("old files to be compressed", || {
            let old = std::fs::read_dir(log.parent().unwrap()).unwrap();
            let names = old.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut old = names.filter(|name| name.starts_with("guest-guest.log."));
            let compressed =
                |name: String| Path::new(&name).extension().is_some_and(|one| one == "zst");
            old.all(compressed).then_some(())
        });
    }
    let output = host.vconsole("log guest").output().unwrap();
    assert!(output.status.success() && output.stdout == all);
    // A damaged file does not hide the others.
    std::fs::write(numbered(&log, 5).with_extension("5.zst"), "nonsense").unwrap();
    let output = host.vconsole("log guest").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("guest-guest.log: an old file is damaged"),
        "{said}"
    );
    assert!(output.stdout.starts_with(b"first\n") && output.stdout.len() > all.len() / 2);
    assert!(output.stdout.ends_with(b"line 99 of round 9\n"));
}

/// A closed reader is noticed without any output.
#[test]
fn a_follower_without_a_reader_ends() {
    let (host, mut pv, log) = host();
    pv.send(b"one\n");
    until_logged(&log, b"one\n");
    for words in ["log -f guest", "log -f guest/vuart0"] {
        let mut follower = Program::piped(host.vconsole(words));
        if words.ends_with("guest") {
            assert_eq!(follower.read(4), b"one\n");
        }
        drop(follower.child().stdout.take());
        assert!(!follower.wait().success(), "{words}");
        assert!(
            follower.complaint("\n").contains("standard output"),
            "{words}"
        );
    }
}
