// SPDX-License-Identifier: MIT
//! `vconsole` and the daemon: what a user at a terminal, or a script, gets.

use rustix::process::Signal;
use rustix::termios::Winsize;
use vconsoled::config::{Filter, Size};
use viewers::{Guest, Host, Program, Terminal, noise, wait_for};

/// The words that a client begins with.
const GREETING: &str = "^T ? helps]\r\n";

#[test]
fn several_clients_see_everything_and_all_of_them_type() {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    vuart.send(b"before ");
    let mut clients: Vec<Program> = (0..3)
        .map(|_| Program::piped(host.vconsole("attach guest/vuart0")))
        .collect();
    for client in &mut clients {
        assert_eq!(client.read(7), b"before ", "what was said before");
    }
    let sent = noise(100_000);
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| assert!(client.read(sent.len()) == sent));
        }
        vuart.send(&sent);
    });
    for (number, client) in clients.iter_mut().enumerate() {
        client.write(format!("typed {number}").as_bytes());
        assert_eq!(vuart.receive(7), format!("typed {number}").as_bytes());
        // The end of the input is not the end of the output.
        client.close();
    }
    vuart.send(b"after");
    for client in &mut clients {
        assert_eq!(client.read(5), b"after");
    }
}

#[test]
fn history_is_as_long_as_wanted() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    let sent = noise(200_000);
    pv.send(&sent);
    wait_for("all of it taken", || {
        (host.console("pv0")["from_guest"] == 200_000).then_some(())
    });
    for (words, length) in [
        ("", 65536),
        ("--scrollback 1K", 1024),
        ("--scrollback all", 65536),
    ] {
        let mut client = Program::piped(host.vconsole(&format!("attach guest {words}")));
        assert!(
            client.read(length) == sent[sent.len() - length..],
            "{words}"
        );
    }
    let mut client = Program::piped(host.vconsole("attach guest --scrollback none"));
    host.until_viewers("pv0", 1);
    pv.send(b"new");
    assert_eq!(client.read(3), b"new");
}

#[test]
fn without_a_name_the_only_domain_is_meant_or_the_user_is_asked() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("one");
    pv.send(b"hello");
    assert_eq!(Program::piped(host.vconsole("attach")).read(5), b"hello");
    let (_, mut other, _other_vuart) = host.guest("two");
    other.send(b"from two");
    let mut client = Program::piped(host.vconsole("attach"));
    assert!(!client.wait().success());
    assert!(
        client
            .complaint("\n")
            .contains("which one? one/pv0 one/vuart0 two/pv0 two/vuart0")
    );
    let mut user = Terminal::open();
    let _client = user.run(host.vconsole("attach"));
    assert!(user.until("which one? ").contains("3  two/pv0"));
    user.write(b"3\r");
    user.until("console pv0 of domain 2, two");
    user.until("from two");
}

#[test]
fn of_two_domains_of_a_name_the_newest_is_meant_and_the_other_told() {
    let host = Host::start();
    let (old, mut old_pv, _old_vuart) = host.guest("web");
    let (new, mut new_pv, _new_vuart) = host.guest("web");
    old_pv.send(b"old");
    new_pv.send(b"new");
    let told = "domain 2 is the newest that is called web; so is 1\n";
    let mut client = Program::piped(host.vconsole("attach web"));
    assert!(client.complaint("\n").ends_with(told));
    assert_eq!(client.read(3), b"new");
    let mut client = Program::piped(host.vconsole("break web"));
    assert!(client.complaint("\n").ends_with(told));
    assert!(client.wait().success());
    let breaks = [old, new].map(|domid| host.machine.take_breaks(domid));
    assert_eq!(breaks, [0, 1]);
    // By its number either is had, and there is nothing to tell.
    let mut client = Program::piped(host.vconsole("attach 1"));
    assert_eq!(client.read(3), b"old");
    // A name that only one has is no matter of taste any more.
    let name = "/local/domain/2/name";
    host.machine.toolstack().unwrap().write(name, "db").unwrap();
    wait_for("the name", || {
        let consoles = host.consoles();
        consoles.iter().any(|one| one["name"] == "db").then_some(())
    });
    let mut client = Program::piped(host.vconsole("attach web"));
    assert_eq!(client.read(3), b"old");
}

#[test]
fn what_cannot_be_attached_is_said_at_once() {
    let host = Host::start();
    let _guest = host.guest("guest");
    for (words, complaint) in [
        ("attach nobody", "there is no domain \"nobody\""),
        (
            "attach guest/tty9",
            "\"tty9\" is no console of \"guest\": pv0, vuart0 is",
        ),
        ("attach 0", "there is no domain \"0\""),
        ("log nobody", "there is no domain"),
        ("break nobody", "there is no domain"),
        ("break guest/pv0", "is not a UART; only UARTs have breaks"),
    ] {
        let mut client = Program::piped(host.vconsole(words));
        assert!(!client.wait().success(), "{words}");
        let said = client.complaint("\n");
        assert!(
            said.starts_with("vconsole: ") && said.contains(complaint),
            "{words}: {said}"
        );
    }
}

/// What another user types is the next that the guest reads: nothing of what
/// was typed before is on its way.
fn nothing_was_typed(host: &Host, vuart: &mut Guest) {
    let mut other = Terminal::open();
    let mut client = other.run(host.vconsole("attach guest/vuart0"));
    other.until(GREETING);
    other.write(b"next\x1d");
    assert!(client.wait().success());
    assert_eq!(vuart.receive(4), b"next");
}

#[test]
fn the_keys_do_what_the_help_says() {
    let host = Host::start();
    let (domid, _pv, mut vuart) = host.guest("guest");
    let mut user = Terminal::open();
    let mut client = user.run(host.vconsole("attach guest/vuart0"));
    user.until(GREETING);
    user.write(b"a\x14?");
    let help = user.until("send ^T itself\r\n");
    assert!(
        help.contains("^]  leave") && help.contains("^T b  send a break"),
        "{help}"
    );
    // Either key itself, and what a terminal would take for a signal.
    user.write(b"\x14\x14\x14\x1d\x03\x1a\x1c");
    assert_eq!(vuart.receive(6), b"a\x14\x1d\x03\x1a\x1c");
    user.write(b"\x14b");
    user.until("[break sent]");
    assert_eq!(host.machine.take_breaks(domid), 1);
    user.write(b"\x14r");
    user.until("[read only]");
    user.write(b"not heard\x14r");
    user.until("[read and write]");
    user.write(b"heard");
    assert_eq!(vuart.receive(5), b"heard");
    user.write(b"\x14x");
    user.until("[x has no function here; ? shows help]");
    user.write(b"last\x1dnot this");
    assert!(client.wait().success());
    assert_eq!(vuart.receive(4), b"last");
    nothing_was_typed(&host, &mut vuart);

    let mut client = user.run(host.vconsole("attach guest/pv0 --menu-key ^A --escape ~"));
    user.until("~ leaves, ^A ? helps]");
    user.write(b"\x01b");
    user.until("no break: 1/pv0 is a PV console, which has no break]");
    user.write(b"\x14\x1d\x01q");
    assert!(client.wait().success());
}

#[test]
fn who_came_to_read_does_not_type() {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    let mut user = Terminal::open();
    let _client = user.run(host.vconsole("attach guest/vuart0 --read-only"));
    assert!(user.until(GREETING).contains("read only"));
    user.write(b"in vain");
    vuart.send(b"seen");
    user.until("seen");
    // The daemon does not let it change its mind.
    user.write(b"\x14r");
    user.until("[read and write]");
    user.until("[read only]");
    user.write(b"in vain");
    nothing_was_typed(&host, &mut vuart);
}

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
        // Another size of the window is the guest's business.
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
                // While the daemon is away the user can still leave.
                host.stop_daemon();
                user.until("waiting for it to come back]");
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

/// The shell's `fg` brings back what the menu, or somebody's signal, has
/// suspended; meanwhile the terminal is the shell's.
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
    assert_eq!(
        vuart.receive(3),
        b"two",
        "what the shell was told is not here"
    );

    for stop in [Signal::TSTP, Signal::STOP] {
        let mut client = user.run(host.vconsole("attach guest/vuart0"));
        user.until(GREETING);
        client.signal(stop);
        client.until_stopped();
        // No program hears of the second: the shell sees to the terminal.
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
    // One that is told to end while it is suspended does so.
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
fn a_daemon_that_comes_back_goes_on_to_the_byte() {
    let mut host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    let mut client = Program::piped(host.vconsole("attach guest/vuart0"));
    let sent = noise(400_000);
    vuart.send(&sent[..1000]);
    assert!(client.read(1000) == sent[..1000]);
    let (first, rest) = sent[1000..].split_at(100);
    // Said while nobody serves, as far as the ring has room.
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
    let said = client.complaint("back]\n");
    assert!(said.contains("gone; waiting"), "{said}");
    client.write(b"typed");
    assert_eq!(vuart.receive(5), b"typed");
}

#[test]
fn a_stopped_terminal_is_told_what_it_missed_and_can_be_left() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    // Nobody reads the client's output.
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
    assert_eq!(pv.receive(5), b"typed", "the client hears all the same");
    // All that is left arrives, and the note says what does not.
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
fn escape_sequences_are_left_out_if_wanted() {
    let host = Host::start();
    let (_, mut pv, _vuart) = host.guest("guest");
    pv.send(b"\x1b[31mred\x1b[0m\r\n\x1b]0;title\x07.");
    let mut plain = Program::piped(host.vconsole("attach guest --filter"));
    assert_eq!(plain.read(6), b"red\r\n.");
    let mut raw = Program::piped(host.vconsole("attach guest"));
    assert_eq!(raw.read(8), b"\x1b[31mred");
}

/// Nobody waits for the answer any more, and what a terminal answers is typed.
#[test]
fn a_terminal_is_not_asked_what_was_asked_before() {
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
    // A pipe answers nothing.
    let mut piped = Program::piped(host.vconsole("attach guest"));
    assert_eq!(piped.read(15), b"\x1b[1mold\x1b[6n\x1b[0m");
}

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
fn what_was_said_is_printed_from_memory_without_a_log() {
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

/// Whatever the log's writer is doing at that moment.
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

#[test]
fn a_break_is_sent_from_a_script() {
    let host = Host::start();
    let (domid, _pv, _vuart) = host.guest("guest");
    for words in ["break guest", "break 1/vuart0", "break guest/vuart"] {
        assert!(host.vconsole(words).status().unwrap().success(), "{words}");
        assert_eq!(host.machine.take_breaks(domid), 1, "{words}");
    }
}

/// `xl console` and others at once: it has the pty, they have sockets.
#[test]
fn the_old_client_and_the_new_one_see_the_same() {
    let host = Host::start();
    let (_, mut pv, mut vuart) = host.guest("guest");
    let mut old = Program::piped(host.xenconsole("1 --num 0 --type pv"));
    let mut new = Program::piped(host.vconsole("attach guest/pv0"));
    let mut other = Program::piped(host.xenconsole("1 --num 0 --type vuart"));
    host.until_viewers("pv0", 2);
    host.until_viewers("vuart0", 1);
    pv.send(b"pv");
    vuart.send(b"vuart");
    assert_eq!(old.read(2), b"pv");
    assert_eq!(new.read(2), b"pv");
    assert_eq!(other.read(5), b"vuart");
    old.write(b"old");
    assert_eq!(pv.receive(3), b"old");
    new.write(b"new");
    assert_eq!(pv.receive(3), b"new");
    other.write(b"other");
    assert_eq!(vuart.receive(5), b"other");
}
