// SPDX-License-Identifier: MIT
//! `vconsole replay`: recordings, as users see them.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use viewers::{Host, PATIENCE, Program, Terminal, wait_for};

const HEADER: &str = "{\"version\": 2, \"width\": 80, \"height\": 24, \"timestamp\": 1000}\n";

fn file(host: &Host, events: &str) -> PathBuf {
    let path = host.dir.path().join("some.cast");
    std::fs::write(&path, format!("{HEADER}{events}")).unwrap();
    path
}

fn replay(host: &Host, words: &str) -> (Option<i32>, String, String) {
    let output = host.vconsole(&format!("replay {words}")).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_guest_s_recording_is_played_also_when_it_has_gone() {
    let host = Host::with(|config| {
        config.log.record = true;
        config.log.size = vconsoled::config::Size(4000);
        config.log.count = 1000;
        config.log.compress = true;
    });
    let (domid, mut pv, _vuart) = host.guest("guest");
    let lines = (0..1000).map(|line| format!("line {line} gr\u{fc}\u{df}e\n"));
    let text = lines.collect::<Vec<_>>().concat();
    pv.send(text.as_bytes());
    let played = || replay(&host, "guest --max-idle 0");
    wait_for("all of it", || (played().1 == text).then_some(()));
    let compressed = host.dir.path().join("log/guest-guest.cast.2.zst");
    wait_for("an old file to be compressed", || {
        compressed.exists().then_some(())
    });
    assert_eq!(played(), (Some(0), text.clone(), String::new()));
    let (_, part, _) = replay(&host, &format!("{} --speed 1000", compressed.display()));
    assert!(!part.is_empty() && text.contains(&part));
    host.machine.destroy(domid).unwrap();
    wait_for("its end", || host.consoles().is_empty().then_some(()));
    let gone = format!(
        "guest --max-idle 0 --dir {}",
        host.dir.path().join("log").display()
    );
    assert_eq!(replay(&host, &gone), (Some(0), text, String::new()));
}

#[test]
fn what_cannot_be_played_is_reported() {
    let host = Host::start();
    let (_domid, _pv, _vuart) = host.guest("guest");
    let log = host.dir.path().join("log");
    let none = replay(&host, &format!("guest --dir {}", log.display()));
    assert_eq!(none.0, Some(3));
    assert!(none.2.contains("there is no recording"), "{}", none.2);
    assert_eq!(replay(&host, "nobody").0, Some(3));
    let text = host.dir.path().join("some.txt");
    std::fs::write(&text, "a log\nand no recording\n").unwrap();
    let other = replay(&host, &text.display().to_string());
    assert_eq!(other.0, Some(1));
    assert!(other.2.contains("no recording"), "{}", other.2);
    let torn = file(
        &host,
        "[0, \"o\", \"a\"]\n[0, \"o\", \"to\n[0, \"o\", \"b\"]\n[0, \"o\"",
    );
    let (code, said, complaint) = replay(&host, &torn.display().to_string());
    assert_eq!((code, said.as_str()), (Some(0), "ab"));
    assert!(complaint.contains("2 lines are no events"), "{complaint}");
}

#[test]
fn playback_keeps_the_pauses_and_ends_on_a_key() {
    let host = Host::start();
    let path = file(&host, "[0, \"o\", \"first\"]\n[3600, \"o\", \"later\"]\n");
    let words = format!("replay {}", path.display());
    let mut player = Program::piped(host.vconsole(&words));
    assert_eq!(player.read(5), b"first");
    player.signal(Signal::INT);
    assert!(player.wait().success());
    for faster in ["--max-idle 0.1", "--speed 1000 --max-idle 100"] {
        let began = std::time::Instant::now();
        let shown = replay(&host, &format!("{} {faster}", path.display()));
        assert_eq!(shown, (Some(0), "firstlater".to_owned(), String::new()));
        assert!(
            began.elapsed() >= std::time::Duration::from_millis(100) && began.elapsed() < PATIENCE
        );
    }
}

/// A replay sends a terminal no queries, and resets it at the end.
#[test]
fn playback_sends_no_queries_and_restores_the_terminal() {
    let host = Host::start();
    let path = file(&host, "[0, \"o\", \"a\\u001b[6nb\\u001b[1mc\"]\n");
    let shown = |path: &Path, more: &str| {
        let mut user = Terminal::open();
        let words = format!("replay {} {more}", path.display());
        let mut player = user.run(host.vconsole(&words));
        let shown = user.until("\x1b[?25h");
        assert!(player.wait().success());
        shown
    };
    assert_eq!(shown(&path, ""), "ab\x1b[1mc\x1b[0m\x1b[?25h");
    assert_eq!(shown(&path, "--filter"), "abc\x1b[0m\x1b[?25h");
}
