// SPDX-License-Identifier: MIT
//! Operators with `vconsole`: attached users, messages, exclusive typing, the
//! banner, abandoned terminals.

use serde_json::Value;
use viewers::{Host, Program, Terminal};

fn json(host: &Host, words: &str) -> Value {
    let output = host.vconsole(words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn viewers_are_listed_and_get_a_message() {
    let host = Host::with(|config| {
        let text = "[sessions]\nbanner = '''\nfirst line\nsecond line'''\n";
        config.sessions = vconsoled::Config::parse(text).unwrap().sessions;
    });
    let _web = host.guest("web");
    let _db = host.guest("db");
    let mut user = Terminal::open();
    let _types = user.run(host.vconsole("attach web/vuart0 --exclusive"));
    user.until("console vuart0 of domain 1, web, nobody else types");
    user.until("[first line]\r\n[second line]\r\n");
    let mut watches = Program::piped(host.vconsole("attach db --read-only"));
    host.until_viewers("vuart0", 1);
    viewers::wait_for("both", || {
        let who = json(&host, "who --json");
        (who["viewers"].as_array().unwrap().len() == 2).then_some(())
    });
    let who = host.vconsole("who").output().unwrap();
    let table = String::from_utf8(who.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[1].starts_with("web/vuart0") && lines[1].contains("types alone"),
        "{table}"
    );
    assert!(
        lines[2].starts_with("db/pv0") && lines[2].contains("watches"),
        "{table}"
    );

    let mut tells = Program::piped(host.vconsole("message web soon it ends"));
    user.until("[message from root: soon it ends]\r\n");
    assert!(tells.complaint("\n").ends_with("shown to 1\n"));
    let mut tells = Program::piped(host.vconsole("message --all now"));
    user.until("[message from root: now]\r\n");
    assert!(
        watches
            .complaint("]\n")
            .ends_with("message from root: now]\n")
    );
    assert!(tells.complaint("\n").ends_with("shown to 2\n"));
    for (words, code) in [
        ("message nobody x", 3),
        ("message --all", 2),
        (&format!("message --all {}", "x".repeat(201)), 1),
    ] {
        let status = host.vconsole(words).status().unwrap();
        assert_eq!(status.code(), Some(code), "{words}");
    }
}

#[test]
fn the_keyboard_goes_from_one_to_another_and_back() {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("web");
    let mut first = Program::piped(host.vconsole("attach web/vuart0 --exclusive"));
    first.write(b"first");
    assert_eq!(vuart.receive(5), b"first");
    let refused = host
        .vconsole("attach web/vuart0 --exclusive")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("root types there alone"), "{said}");
    assert_eq!(refused.status.code(), Some(7));
    let mut user = Terminal::open();
    let mut forced = user.run(host.vconsole("attach web/vuart0 --force"));
    user.until("nobody else types");
    first.complaint("root types alone now]\n");
    user.write(b"forced");
    assert_eq!(vuart.receive(6), b"forced");
    user.write(b"\x1d");
    assert!(forced.wait().success());
    first.complaint("read and write]\n");
    first.write(b"again");
    assert_eq!(vuart.receive(5), b"again");
    // After a lost takeover, a reconnecting client takes nothing from others.
    let mut host = host;
    host.stop_daemon();
    first.complaint("reconnecting]\n");
    host.start_daemon();
    first.complaint("reconnected]\n");
    first.write(b"still");
    assert_eq!(vuart.receive(5), b"still");
}

#[test]
fn a_terminal_that_was_left_is_closed_and_a_script_gets_the_reason() {
    let host = Host::with(|config| config.sessions.idle_timeout = 1);
    let _guest = host.guest("web");
    let mut user = Terminal::open();
    let mut client = user.run(host.vconsole("attach web"));
    user.until("vconsole: nothing was typed for too long");
    assert_eq!(client.wait().code(), Some(6));
    assert!(user.is_cooked());
}
