// SPDX-License-Identifier: MIT
//! The control socket.

use crate::support::*;
use vconsoled::Config;
use xen_io::fake::Machine;

#[test]
fn the_status_lists_all_consoles() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (domid, mut pv, _) = guest(&machine, "guest");
    let broken = machine.create_domain("broken").unwrap();
    let _pv = machine.add_pv_console(broken).unwrap();
    let path = format!("/local/domain/{broken}/console/port");
    machine.toolstack().unwrap().write(&path, "99999").unwrap();
    machine.introduce(broken);
    let (config, socket) = with_control(&dir);
    let daemon = Daemon::start(&machine, config);
    let mut viewer = Viewer::open(&machine, domid, PV);
    pv.send(b"four");
    viewer.read(4);
    viewer.write(b"to");
    pv.receive(2);
    let status = status(&socket);
    assert_eq!((status.version, status.pid), (1, std::process::id()));
    let names: Vec<_> = status
        .consoles
        .iter()
        .map(|one| (one.domid, one.console.as_str(), one.kind.as_str()))
        .collect();
    assert_eq!(
        names,
        [
            (1, "pv0", "pv"),
            (1, "vuart0", "vuart-private"),
            (2, "pv0", "")
        ]
    );
    let one = &status.consoles[0];
    assert_eq!(
        (one.name.as_str(), one.state.as_str()),
        ("guest", "connected")
    );
    assert_eq!((one.from_guest, one.to_guest, one.viewers), (4, 2, 1));
    assert!(one.doorbells_in > 0 && one.doorbells_out > 0);
    assert_eq!(Some(&one.tty), tty(&machine, domid, PV).as_ref());
    assert!(
        status.consoles[2].state.contains("port 99999"),
        "{}",
        status.consoles[2].state
    );
    drop(viewer);
    wait_for("the viewer's end", || {
        (crate::support::status(&socket).consoles[0].viewers == 0).then_some(())
    });
    daemon.stop().unwrap();
    assert!(!socket.exists());
}

#[test]
fn a_break_reaches_the_named_uart() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (first, ..) = guest(&machine, "first");
    let (second, ..) = guest(&machine, "second");
    let stock = machine.create_domain("stock").unwrap();
    let _vuart = machine.add_stock_vuart(stock).unwrap();
    machine.introduce(stock);
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config);
    let breaks = || [first, second, stock].map(|domid| machine.take_breaks(domid));
    for (domid, wanted) in [
        (first, [1, 0, 0]),
        (second, [0, 1, 0]),
        (stock, [0, 0, 1]),
        (first, [1, 0, 0]),
    ] {
        let answer = ask(&socket, &format!("break {domid}/vuart0"));
        assert_eq!(answer, "{\"done\":\"break\"}\n");
        assert_eq!(breaks(), wanted);
    }
    for (request, words) in [
        ("break 1/pv0", "1/pv0 is a PV console, which has no break"),
        ("break 9/vuart0", "no such domain"),
        ("break 1/vuart1", "is no console"),
        ("break 70000/vuart0", "no console"),
        ("break vuart0", "no console"),
        ("break ", "no console"),
        ("break", "unknown request"),
        ("break  1/vuart0", "no console"),
    ] {
        let answer = ask(&socket, request);
        assert!(answer.starts_with("{\"error\":\""), "{request}: {answer}");
        assert!(answer.contains(words), "{request}: {answer}");
    }
    assert_eq!(breaks(), [0, 0, 0]);
    // A dead domain whose nodes still exist.
    machine.kill(second);
    let answer = ask(&socket, &format!("break {second}/vuart0"));
    assert!(answer.starts_with("{\"error\":\""), "{answer}");
}

#[test]
fn the_control_socket_withstands_its_clients() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (config, socket) = with_control(&dir);
    let _daemon = Daemon::start(&machine, config.clone());
    let idle: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let mut endless = UnixStream::connect(&socket).unwrap();
    let _cut_off = endless.write_all(&vec![b'x'; 100_000]);
    let mut wrong = UnixStream::connect(&socket).unwrap();
    wrong.write_all(b"what\n").unwrap();
    let mut answer = String::new();
    wrong.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "{\"error\":\"unknown request\"}\n");
    assert_eq!(status(&socket).consoles.len(), 0);
    drop(idle);

    let second = vconsoled::Server::new(machine.platform().unwrap(), config);
    assert_eq!(second.err().unwrap().kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn a_socket_left_by_an_ended_daemon_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let (config, socket) = with_control(&dir);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let _daemon = Daemon::start(&machine, config.clone());
    assert_eq!(status(&socket).version, 1);
    let in_the_way = dir.path().join("file");
    std::fs::write(&in_the_way, "precious").unwrap();
    let config = Config {
        sockets: control_at(&in_the_way),
        ..config
    };
    assert!(vconsoled::Server::new(machine.platform().unwrap(), config).is_err());
    assert_eq!(std::fs::read(in_the_way).unwrap(), b"precious");
}

#[test]
fn a_service_that_acts_for_a_tenant_gets_the_tenant_s_consoles() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new();
    let _guests = ["web", "db"].map(|name| guest(&machine, name));
    let (config, socket) = with_control(&dir);
    let us = rustix::process::geteuid().as_raw();
    let rule = |tenant: &str, domain: &str, rights: &str| {
        format!(
            "[[access]]\ntenants = ['{tenant}']\nby = ['{us}']\ndomains = ['{domain}']\n\
             rights = [{rights}]\n"
        )
    };
    let rules = rule("alice", "web", "'watch'") + &rule("Bob B.", "db", "'type', 'break'");
    let access = Config::parse(&rules).unwrap().access;
    let _daemon = Daemon::start(&machine, Config { access, ..config });
    until_looked_at(&machine);
    let sees = |tenant: &str| {
        let status = ask(&socket, &format!("as {tenant}\nstatus"));
        let status: console_proto::Status = serde_json::from_str(&status).unwrap();
        let rows = status.consoles.into_iter();
        rows.map(|row| format!("{}/{}", row.name, row.console))
            .collect::<Vec<_>>()
    };
    assert_eq!(sees("alice"), ["web/pv0", "web/vuart0"]);
    assert_eq!(sees("Bob B."), ["db/pv0", "db/vuart0"]);
    assert!(sees("carol").is_empty());
    for (request, answer) in [
        ("as alice\nbreak 1/vuart0", "you may send no break"),
        ("as Bob B.\nbreak 1/vuart0", "you may send no break"),
        ("as Bob B.\nbreak 2/vuart0", r#"{"done":"break"}"#),
        // A tenant's name is given once, and must be valid.
        ("as alice\nas Bob B.", "unknown request"),
        ("as ", "unknown request"),
        ("as \u{7}", "unknown request"),
    ] {
        let said = ask(&socket, request);
        assert!(said.contains(answer), "{request}: {said}");
    }
    let attach = |tenant: &str, name: &str| {
        let request = r#"{"version":1,"attach":{"console":"pv0","name":"#;
        let mut stream = crate::peer::connect(&socket);
        let lines = format!("as {tenant}\n{request}\"{name}\"}}}}\n");
        std::io::Write::write_all(&mut stream, lines.as_bytes()).unwrap();
        crate::peer::line(&mut stream)
    };
    assert!(attach("alice", "web").contains(r#""mode":"ro""#));
    assert!(attach("Bob B.", "db").contains(r#""mode":"rw""#));
    assert!(attach("alice", "db").contains(r#""code":"denied""#));
}
