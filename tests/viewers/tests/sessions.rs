// SPDX-License-Identifier: MIT
//! Sessions and scripts: guests that start and end, exit codes, typing and waiting
//! for output, parts of logs.

use std::process::Output;

use vconsoled::config::Filter;
use viewers::{Guest, Host, Program, Terminal, wait_for};

fn run(host: &Host, words: &str) -> Output {
    host.vconsole(words).output().unwrap()
}

/// Runs the client with arguments that may contain blanks.
fn words(host: &Host, words: &[&str]) -> Output {
    host.vconsole("").args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The exit codes of the client's page, except those that require another user
/// (tests/viewers/tests/ssh.rs) or time.
#[test]
fn exit_codes_give_the_reason() {
    let mut host = Host::start();
    let (domid, _pv, _vuart) = host.guest("web");
    let missing = [
        "attach nobody",
        "attach web/pv9",
        "log nobody",
        "break nobody",
        "send nobody x",
    ];
    for words in missing
        .into_iter()
        .chain(["expect nobody x", "message nobody x"])
    {
        let output = run(&host, words);
        assert_eq!(output.status.code(), Some(3), "{words}: {}", said(&output));
    }
    for words in [
        "attach --read-only --force web",
        "expect web (",
        "log web --since never",
    ] {
        assert_eq!(run(&host, words).status.code(), Some(2), "{words}");
    }
    assert_eq!(run(&host, "break web/pv0").status.code(), Some(1));
    assert_eq!(run(&host, "expect web never -t 0").status.code(), Some(9));
    let mut attached = Program::piped(host.vconsole("attach web"));
    let mut expects = Program::piped(host.vconsole("expect web/vuart0 never -t 600"));
    host.until_viewers("pv0", 1);
    host.until_viewers("vuart0", 1);
    host.machine.destroy(domid).unwrap();
    assert_eq!(attached.wait().code(), Some(5));
    assert!(
        attached
            .complaint("gone\n")
            .ends_with("the domain is gone\n")
    );
    assert_eq!(expects.wait().code(), Some(5));
    host.stop_daemon();
    for words in ["list", "who", "send web x", "message --all x"] {
        let output = run(&host, words);
        assert_eq!(output.status.code(), Some(8), "{words}: {}", said(&output));
    }
}

#[test]
fn a_guest_is_waited_for_and_followed_over_a_reboot() {
    let mut host = Host::start();
    let mut user = Terminal::open();
    let mut client = user.run(host.vconsole("attach web/pv0 --wait"));
    user.until("waiting for web/pv0");
    assert!(user.is_cooked(), "^C ends what waits");
    for round in 0..2 {
        let (domid, mut pv, _vuart) = host.guest("web");
        user.until(&format!("console pv0 of domain {domid}, web"));
        pv.send(b"up\r\n");
        user.until("up\r\n");
        user.write(b"typed");
        assert_eq!(pv.receive(5), b"typed", "round {round}");
        host.machine.destroy(domid).unwrap();
        user.until("the domain is gone");
        user.until("waiting for web/pv0");
    }
    // A missing daemon is waited for like a guest.
    host.stop_daemon();
    host.start_daemon();
    let (_, mut pv, _vuart) = host.guest("web");
    pv.send(b"up\r\n");
    user.until("up\r\n");
    user.write(b"\x1d");
    assert!(client.wait().success());
}

fn sends(host: &Host, guest: &mut Guest, arguments: &[&str], expected: &[u8]) {
    let output = words(host, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    // All of it is in the ring now.
    assert_eq!(guest.receive(expected.len()), expected, "{arguments:?}");
}

#[test]
fn scripts_type_and_get_a_confirmation() {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("web");
    sends(
        &host,
        &mut vuart,
        &["send", "web/vuart0", "a b", "c"],
        b"a b c",
    );
    sends(
        &host,
        &mut vuart,
        &["send", "web/vuart0", "reboot", "--enter"],
        b"reboot\r",
    );
    let mut piped = Program::piped(host.vconsole("send web/vuart0"));
    piped.write(b"by a pipe\n");
    piped.close();
    assert!(piped.wait().success());
    assert_eq!(vuart.receive(10), b"by a pipe\n");
    // Exclusive typing excludes scripts, which report it.
    let _alone = Program::piped(host.vconsole("attach web/vuart0 --exclusive"));
    host.until_viewers("vuart0", 1);
    let output = run(&host, "send web/vuart0 x");
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
}

#[test]
fn scripts_get_an_error_if_a_guest_takes_no_input() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("web");
    let much = "x".repeat(8192);
    let output = run(&host, &format!("send web {much} -t 1"));
    assert_eq!(output.status.code(), Some(9), "{}", said(&output));
    assert!(said(&output).contains("does not take what is typed"));
    assert_eq!(pv.receive(1024), b"x".repeat(1024));
}

#[test]
fn scripts_wait_for_output() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("web");
    pv.send(b"Debian\r\nlogin: ");
    wait_for("all of it", || {
        (host.console("pv0")["from_guest"] == 15).then_some(())
    });
    // Earlier output counts if requested.
    let output = run(&host, "expect web ^login: --scrollback all");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(output.stdout, b"Debian\r\nlogin:");
    assert_eq!(run(&host, "expect web ^login: -t 0").status.code(), Some(9));
    let mut expects = Program::piped(host.vconsole("expect web (?i)password --send root"));
    assert_eq!(pv.receive(5), b"root\r");
    pv.send(b"root\r\n\x1b[1mPass");
    pv.send(b"\x1b[0mword: ");
    assert!(expects.wait().success());
    assert_eq!(expects.rest(), b"root\r\nPassword");
}

#[test]
fn parts_of_a_log_are_printed() {
    let host = Host::with(|config| {
        config.log.guests = true;
        config.log.timestamps = true;
        config.log.filter = Filter::None;
    });
    let (_, mut pv, _vuart) = host.guest("web");
    let boot =
        "[    0.000000] Booting Linux on physical CPU 0x0\n[    0.000000] Linux version 6.1\n";
    for text in [boot, "one\n", boot, "two\n"] {
        pv.send(text.as_bytes());
    }
    let log = host.dir.path().join("log/guest-web.log");
    wait_for("the log", || {
        let text = std::fs::read_to_string(&log);
        text.is_ok_and(|text| text.ends_with("two\n")).then_some(())
    });
    // The last letter of each line identifies it; that of the log's own line is d.
    let prints = |words: &str, expected: &str| {
        let output = run(&host, &format!("log web {words}"));
        assert!(output.status.success(), "{words}: {}", said(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let ends = text.lines().filter_map(|line| line.chars().last());
        assert_eq!(ends.collect::<String>(), expected, "{words}: {text}");
    };
    for (words, expected) in [
        ("", "d01e01o"),
        ("--boot 1", "01e"),
        ("--boot 0", "01o"),
        ("--boot -1", "01e"),
        ("--grep Linux", "0101"),
        ("--boot 2 --grep ^.*two$", "o"),
        ("--since 1h", "d01e01o"),
        ("--until 1h", ""),
        ("--since 1h --until 2999-01-01", "d01e01o"),
    ] {
        prints(words, expected);
    }
    for words in ["log web --boot 3", "log web/pv0 --boot -2"] {
        let output = run(&host, words);
        assert_eq!(output.status.code(), Some(3), "{words}");
        assert!(
            said(&output).contains("2 boots are in the log"),
            "{}",
            said(&output)
        );
    }
    // By name after its end, too.
    host.machine.destroy(xen_io::DomId(1)).unwrap();
    wait_for("its end", || host.consoles().is_empty().then_some(()));
    let folder = format!("--dir {}", log.parent().unwrap().display());
    prints(&format!("--boot 0 {folder}"), "01o");
    std::fs::write(&log, "no time\n").unwrap();
    let output = run(&host, &format!("log web --since 1h {folder}"));
    assert!(
        said(&output).contains("no line has a time"),
        "{}",
        said(&output)
    );
    assert_eq!(output.status.code(), Some(3));
}
