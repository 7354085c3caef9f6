// SPDX-License-Identifier: MIT
//! socat, at a terminal and over TCP.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use viewers::{PATIENCE, Program, Terminal, wait_for};

use crate::{blocks, end, free_port, host};

#[test]
fn socat() {
    let (host, guest) = host();
    let lines = blocks("socat.md", "sh");
    let [terminal, watch, script, ..] = &lines[..] else {
        panic!("{lines:?}")
    };
    let mut user = Terminal::open();
    let mut session = host.login(&user, terminal);
    user.until("welcome\r\n");
    let mut watcher = Program::piped(host.shell(watch));
    assert_eq!(watcher.read(9), b"welcome\r\n");
    user.write(b"by hand\r");
    user.until("echo: by hand\r\n");
    assert_eq!(watcher.read(15), b"echo: by hand\r\n");
    user.write(b"\x1d");
    session.wait();
    assert!(user.is_cooked());

    let output = host.shell(script).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("echo: uname\r\n"), "{said:?}");
    assert_eq!(watcher.read(13), b"echo: uname\r\n");

    let off = host
        .shell(&script.replace("uname", "off"))
        .output()
        .unwrap();
    assert!(off.status.success());
    guest.join().unwrap();
}

#[test]
fn socat_over_tcp_in_both_roles() {
    let (host, guest) = host();
    let lines = blocks("socat.md", "sh");
    let [.., listen, call, _] = &lines[..] else {
        panic!("{lines:?}")
    };
    let start = |line: &str| Program::start(host.shell(&format!("exec {line}")));
    let port = free_port();
    let _listening = start(&listen.replace("4001", &port.to_string()));
    let connect = || TcpStream::connect(("127.0.0.1", port)).ok();
    let mut first = wait_for("a console that listens", connect);
    says(&mut first, "welcome\r\n");
    first.write_all(b"one\r").unwrap();
    says(&mut first, "echo: one\r\n");
    let mut second = connect().unwrap();
    says(&mut second, "welcome\r\necho: one\r\n");
    second.write_all(b"two\r").unwrap();
    for client in [&mut first, &mut second] {
        says(client, "echo: two\r\n");
    }

    let port = free_port();
    let mut calling = start(&call.replace("4002", &port.to_string()));
    // It starts before the listener that it calls. On a busy machine it may not,
    // and then it need not retry.
    std::thread::sleep(Duration::from_millis(200));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let (mut called, _) = wait_for("a call", || listener.accept().ok());
    called.set_nonblocking(false).unwrap();
    says(&mut called, "welcome\r\necho: one\r\necho: two\r\n");
    called.write_all(b"three\r").unwrap();
    says(&mut called, "echo: three\r\n");
    drop(called);
    assert!(calling.child().wait().unwrap().success());
    end(&host);
    guest.join().unwrap();
}

/// The page's line for a debugger, which must not get packets of an earlier session.
#[test]
fn a_debugger_over_tcp_gets_only_new_output() {
    let (host, guest) = host();
    let lines = blocks("socat.md", "sh");
    let line = lines.last().unwrap();
    let port = free_port();
    let line = format!("exec {}", line.replace("4001", &port.to_string()));
    let mut server = Program::start(host.shell(&line));
    let connect = || TcpStream::connect(("127.0.0.1", port)).ok();
    let mut debugger = wait_for("a console that listens", connect);
    debugger.write_all(b"new\r").unwrap();
    says(&mut debugger, "echo: new\r\n");
    drop(debugger);
    assert!(server.child().wait().unwrap().success());
    host.until_viewers("vuart0", 0);
    end(&host);
    guest.join().unwrap();
}

/// Exactly this text is next.
fn says(stream: &mut TcpStream, text: &str) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = vec![0; text.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), text);
}
