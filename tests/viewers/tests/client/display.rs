// SPDX-License-Identifier: MIT
//! The terminal and its output: leaving, suspending, stopping, filtering, and a
//! restart of the daemon.

use rustix::process::Signal;
use rustix::termios::Winsize;
use viewers::{Host, Program, Terminal, noise, wait_for};

use crate::GREETING;

#[test]
fn the_terminal_is_as_it_was_however_it_ends() {
    let mut host = Host::start();
    for how in [
        "escape", "menu", "term", "int", "hup", "quit", "domain", "broken",
    ] {
        let (domid, _pv, mut vuart) = host.guest("guest");
        let mut user = Terminal::open();
        assert!(user.is_cooked());
        let mut client = user.run(host.vconsole(&format!("attach {domid}/vuart0")));
        user.until(GREETING);
        vuart.send(b"login: ");
        user.until("login: ");
        assert!(!user.is_cooked());
        // A change of the window's size is not handled here.
        let size = Winsize {
            ws_row: 50,
            ws_col: 132,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&user.outer, size).unwrap();
        client.signal(Signal::WINCH);
        vuart.send(b"still here");
        user.until("still here");
        match how {
            "escape" => user.write(b"\x1d"),
            "menu" => user.write(b"\x14q"),
            "term" => client.signal(Signal::TERM),
            "int" => client.signal(Signal::INT),
            "hup" => client.signal(Signal::HUP),
            "quit" => client.signal(Signal::QUIT),
            "domain" => host.machine.destroy(domid).unwrap(),
            _ => {
                // While there is no daemon, the user can still leave.
                host.stop_daemon();
                user.until("reconnecting]");
                user.write(b"\x1d");
            }
        }
        let code = if how == "domain" { 5 } else { 0 };
        assert_eq!(client.wait().code(), Some(code), "{how}");
        assert!(user.is_cooked(), "{how}");
        if how != "domain" && how != "broken" {
            host.machine.destroy(domid).unwrap();
        }
        wait_for("no domain", || {
            host.consoles_or_none().is_empty().then_some(())
        });
    }
}

/// The shell's `fg` continues a client that the menu or a signal has suspended;
/// meanwhile the terminal is in the shell's mode.
#[test]
fn a_suspended_client_leaves_the_terminal_to_the_shell() {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    let mut user = Terminal::open();
    let line = "set -m; vconsole attach guest/vuart0; echo suspended; read word; fg; echo left";
    let mut shell = host.login(&user, line);
    user.until(GREETING);
    user.write(b"one\x14z");
    user.until("suspended\r\n");
    assert!(user.is_cooked());
    assert_eq!(vuart.receive(3), b"one");
    vuart.send(b"said meanwhile");
    user.write(b"go on\n");
    user.until("said meanwhile");
    wait_for("a raw terminal", || (!user.is_cooked()).then_some(()));
    user.write(b"two\x1d");
    user.until("left\r\n");
    assert!(shell.wait().success());
    assert!(user.is_cooked());
    assert_eq!(vuart.receive(3), b"two", "what the shell read is not here");

    for stop in [Signal::TSTP, Signal::STOP] {
        let mut client = user.run(host.vconsole("attach guest/vuart0"));
        user.until(GREETING);
        client.signal(stop);
        client.until_stopped();
        // No program receives SIGSTOP: the shell restores the terminal.
        if stop == Signal::STOP {
            user.cook();
        }
        assert!(user.is_cooked());
        client.signal(Signal::CONT);
        wait_for("a raw terminal", || (!user.is_cooked()).then_some(()));
        user.write(b"three\x1d");
        assert!(client.wait().success());
        assert_eq!(vuart.receive(5), b"three");
        assert!(user.is_cooked());
    }
    // A suspended client that receives SIGTERM ends.
    let mut client = user.run(host.vconsole("attach guest/vuart0"));
    user.until(GREETING);
    client.signal(Signal::TSTP);
    client.until_stopped();
    client.signal(Signal::TERM);
    client.signal(Signal::CONT);
    assert!(client.wait().success());
    assert!(user.is_cooked());

    let mut list = user.run(host.vconsole("list --watch"));
    user.until("vuart0");
    list.signal(Signal::TSTP);
    user.until("\x1b[?25h\x1b[?1049l");
    list.until_stopped();
    assert!(user.is_cooked());
    list.signal(Signal::CONT);
    user.until("\x1b[?1049h\x1b[?25l");
    user.until("vuart0");
    user.write(b"q");
    assert!(list.wait().success());
    assert!(user.is_cooked());
}

#[test]
fn output_continues_to_the_byte_after_a_restart() {
    let mut host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    let mut client = Program::piped(host.vconsole("attach guest/vuart0"));
    let sent = noise(400_000);
    vuart.send(&sent[..1000]);
    assert!(client.read(1000) == sent[..1000]);
    let (first, rest) = sent[1000..].split_at(100);
    // Printed while there is no daemon, as far as the ring has room.
    host.stop_daemon();
    vuart.send(first);
    host.start_daemon();
    let to_send = rest.to_vec();
    let guest = std::thread::spawn(move || {
        vuart.send(&to_send);
        vuart
    });
    assert!(client.read(50_000) == sent[1000..51_000]);
    for _ in 0..3 {
        host.stop_daemon();
        host.start_daemon();
    }
    assert!(client.read(sent.len() - 51_000) == sent[51_000..]);
    let mut vuart = guest.join().unwrap();
    let said = client.complaint("reconnected]\n");
    assert!(said.contains("disconnected; reconnecting"), "{said}");
    client.write(b"typed");
    assert_eq!(vuart.receive(5), b"typed");
}

#[test]
fn a_stopped_terminal_shows_how_much_it_missed_and_can_be_left() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    // The client's output is not read.
    let mut client = Program::piped(host.vconsole("attach guest"));
    host.until_viewers("pv0", 1);
    let sent = noise(4_000_000);
    pv.send(&sent);
    let lost = wait_for("loss", || {
        host.console("pv0")["lost"]
            .as_u64()
            .filter(|lost| *lost > 0)
    });
    assert!(lost < 4_000_000);
    client.write(b"typed");
    assert_eq!(pv.receive(5), b"typed", "the client still reads its input");
    // All remaining bytes arrive, and the message has the number of lost ones.
    let lost = usize::try_from(lost).unwrap();
    let seen = client.read(sent.len() - lost);
    let gap = sent
        .iter()
        .zip(&seen)
        .take_while(|(one, other)| one == other);
    let gap = gap.count();
    assert!(seen[gap..] == sent[gap + lost..], "altered, or lost twice");
    let said = client.complaint(" bytes lost]\n");
    assert!(said.ends_with(&format!(" {lost} bytes lost]\n")), "{said}");
    client.signal(Signal::TERM);
    assert!(client.wait().success());
}

#[test]
fn escape_sequences_are_left_out_if_requested() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    pv.send(b"\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07.");
    let mut plain = Program::piped(host.vconsole("attach guest --filter"));
    assert_eq!(plain.read(6), b"red\r\n.");
    let mut raw = Program::piped(host.vconsole("attach guest"));
    assert_eq!(raw.read(8), b"\x1b[31mred");
}

/// Nothing waits for the answer any more, and a terminal's answer would be typed.
#[test]
fn terminal_queries_are_not_replayed() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    pv.send(b"\x1b[1mold\x1b[6n\x1b[0m.");
    wait_for("all of it taken", || {
        (host.console("pv0")["from_guest"] == 16).then_some(())
    });
    let mut user = Terminal::open();
    let mut client = user.run(host.vconsole("attach guest"));
    user.until(GREETING);
    assert_eq!(user.until("."), "\x1b[1mold\x1b[0m.");
    pv.send(b"new\x1b[6n.");
    assert_eq!(user.until("."), "new\x1b[6n.");
    user.write(b"\x1d");
    assert!(client.wait().success());
    let mut log = user.run(host.vconsole("log guest"));
    assert_eq!(user.until("new."), "\x1b[1mold\x1b[0m.new.");
    assert!(log.wait().success());
    // A pipe sends no answers.
    let mut piped = Program::piped(host.vconsole("attach guest"));
    assert_eq!(piped.read(15), b"\x1b[1mold\x1b[6n\x1b[0m");
}
