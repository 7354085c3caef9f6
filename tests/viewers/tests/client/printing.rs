// SPDX-License-Identifier: MIT
//! Printing: the list, and logs.

use rustix::process::Signal;
use vconsoled::config::{Filter, Size};
use viewers::{Host, Program, Terminal, noise, wait_for};

#[test]
fn the_list_is_a_table_or_json_once_or_again_and_again() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    pv.send(b"four");
    let output = host.vconsole("list").output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    for word in [
        "ID",
        "DOMAIN",
        "CONSOLE",
        "VIEWERS",
        "FROM GUEST",
        "DROPPED",
        "OUT",
        "STATE",
    ] {
        assert!(lines[0].contains(word), "{word}: {table}");
    }
    assert!(lines[1].starts_with("1   guest   pv0"), "{table}");
    assert!(lines[1].ends_with("connected"), "{table}");

    let mut user = Terminal::open();
    let mut client = user.run(host.vconsole("list --watch"));
    user.until("vuart0");
    pv.send(&[b'x'; 996]);
    user.until("1000");
    assert!(!user.is_cooked());
    user.write(b"q");
    user.until("\x1b[?25h\x1b[?1049l");
    assert!(client.wait().success());
    assert!(user.is_cooked());

    let mut script = Program::piped(host.vconsole("list --watch --json"));
    for _ in 0..2 {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.extend(script.read(1));
        }
        let status: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(status["consoles"][0]["from_guest"], 1000);
    }
    script.signal(Signal::TERM);
    assert!(script.wait().success());
}

#[test]
fn output_is_printed_from_memory_without_a_log() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    let sent = noise(10_000);
    pv.send(&sent);
    let output = host.vconsole("log guest").output().unwrap();
    assert!(output.status.success() && output.stdout == sent);
    let mut follower = Program::piped(host.vconsole("log -f guest/pv0"));
    assert!(follower.read(10_000) == sent);
    pv.send(b"more");
    assert_eq!(follower.read(4), b"more");
    follower.signal(Signal::INT);
    assert!(follower.wait().success());
}

/// At any state of the log's writer.
#[test]
fn a_log_is_printed_and_followed_across_rotation() {
    let host = Host::with(|config| {
        config.log.guests = true;
        config.log.filter = Filter::None;
        config.log.size = Size(20_000);
        config.log.count = 100;
    });
    let (_, mut pv, _vuart) = host.guest("guest");
    let text = |range: std::ops::Range<u32>| -> Vec<u8> {
        range
            .flat_map(|n| format!("line {n}\n").into_bytes())
            .collect()
    };
    let before = text(0..5000);
    pv.send(&before);
    let log = host.dir.path().join("log/guest-guest.log");
    wait_for("a log that is complete", || {
        let rotated = std::fs::read(&log).is_ok_and(|text| text.ends_with(b"line 4999\n"));
        rotated.then_some(())
    });
    assert!(log.with_extension("log.1").exists(), "it was rotated");
    let output = host.vconsole("log guest").output().unwrap();
    assert!(output.status.success() && output.stdout == before);
    let mut follower = Program::piped(host.vconsole("log --follow guest"));
    assert!(follower.read(before.len()) == before);
    for part in 0..5 {
        let more = text(part * 3000..(part + 1) * 3000);
        pv.send(&more);
        assert!(follower.read(more.len()) == more, "part {part}");
    }
    follower.signal(Signal::TERM);
    assert!(follower.wait().success());
}
