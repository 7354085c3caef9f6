// SPDX-License-Identifier: MIT
//! Attaching: output for all, typing, keys and breaks.

use viewers::{Guest, Host, Program, Terminal, noise, wait_for};

use crate::GREETING;

#[test]
fn several_clients_get_all_output_and_all_of_them_type() {
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
        // Output continues after the end of input.
        client.close();
    }
    vuart.send(b"after");
    for client in &mut clients {
        assert_eq!(client.read(5), b"after");
    }
}

#[test]
fn history_is_as_long_as_requested() {
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
fn without_a_name_the_only_domain_is_used_or_a_list_is_shown() {
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
fn of_two_domains_of_a_name_the_newest_is_used_and_the_other_reported() {
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
    // Each is selected by its number, without a message.
    let mut client = Program::piped(host.vconsole("attach 1"));
    assert_eq!(client.read(3), b"old");
    // A name of only one domain needs no message any more.
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
fn a_console_that_cannot_be_attached_is_reported_at_once() {
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

/// What another user types is the guest's next input: no earlier input is on its
/// way.
fn nothing_was_typed(host: &Host, vuart: &mut Guest) {
    let mut other = Terminal::open();
    let mut client = other.run(host.vconsole("attach guest/vuart0"));
    other.until(GREETING);
    other.write(b"next\x1d");
    assert!(client.wait().success());
    assert_eq!(vuart.receive(4), b"next");
}

#[test]
fn the_keys_do_what_the_help_lists() {
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
    // Either key itself, and keys that a terminal would turn into signals.
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
fn a_read_only_client_does_not_type() {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    let mut user = Terminal::open();
    let _client = user.run(host.vconsole("attach guest/vuart0 --read-only"));
    assert!(user.until(GREETING).contains("read only"));
    user.write(b"in vain");
    vuart.send(b"seen");
    user.until("seen");
    // The client cannot change to typing.
    user.write(b"\x14r");
    user.until("[read and write]");
    user.until("[read only]");
    user.write(b"in vain");
    nothing_was_typed(&host, &mut vuart);
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

/// `xl console`, on the pty, and other clients, on sockets, at once.
#[test]
fn the_old_client_and_the_new_one_show_the_same() {
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
