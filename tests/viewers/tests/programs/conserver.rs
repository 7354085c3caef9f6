// SPDX-License-Identifier: MIT
//! conserver, on one host and on many.

use std::net::TcpStream;
use std::process::Stdio;

use viewers::{Program, Terminal, wait_for};

use crate::{blocks, end, free_port, host, stop, unpacked};

#[test]
fn conserver() {
    let (mut host, guest) = host();
    let pages = blocks("conserver.md", "conserver");
    let lines = blocks("conserver.md", "sh");
    let [passwords, check, serve, attach, ..] = &lines[..] else {
        panic!("{lines:?}")
    };
    unpacked(&host, "conserver");
    let dir = host.dir.path().join("conserver");
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join("conserver.cf");
    let text = pages[0]
        .replace("/run/vconsoled", &host.run().to_string_lossy())
        .replace("/var/log/conserver", &dir.to_string_lossy())
        .replace("/etc/conserver", &dir.to_string_lossy());
    std::fs::write(&file, text).unwrap();
    let port = free_port();
    let here = |line: &str| {
        line.replace("/etc/conserver", &dir.to_string_lossy())
            .replace("-p 782", &format!("-p {port}"))
    };
    let known = host.shell(&with_password(&here(passwords))).status();
    assert!(known.unwrap().success());
    let checked = host.shell(&here(check)).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(
        checked.status.success() && !said.contains("ERROR"),
        "{said}"
    );

    let mut command = host.shell(&format!(
        "exec {} -L {}",
        here(serve),
        dir.join("log").display()
    ));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Program::start(command);
    host.until_viewers("vuart0", 1);
    wait_for("conserver", || TcpStream::connect(("127.0.0.1", port)).ok());
    // Without the password nobody gets the console, whatever the name.
    for name in ["operator", "root"] {
        let mut stranger = Terminal::open();
        let line = here(attach).replace("-l operator", &format!("-l {name}"));
        let mut session = host.login(&stranger, &line);
        stranger.until("password:");
        stranger.write(b"a guess\r");
        stranger.until("invalid password");
        drop(stranger);
        session.wait();
    }
    let mut user = Terminal::open();
    let mut session = host.login(&user, &here(attach));
    log_in(&mut user);
    user.until("help]");
    user.write(b"by conserver\r");
    user.until("echo: by conserver");
    user.write(b"\x05c.");
    session.wait();
    // After the daemon's restart, conserver reconnects for the next user.
    host.stop_daemon();
    host.start_daemon();
    let mut session = host.login(&user, &here(attach));
    log_in(&mut user);
    user.until("help]");
    host.until_viewers("vuart0", 1);
    user.write(b"again\r");
    user.until("echo: again");
    user.write(b"\x05c.");
    session.wait();
    let log = std::fs::read_to_string(dir.join("guest")).unwrap();
    assert!(log.contains("echo: by conserver"), "{log}");
    stop(server);
    end(&host);
    guest.join().unwrap();
}

/// Two hosts on one machine, each server at its own address.
#[test]
fn conserver_of_many_hosts() {
    let (host, guest) = host();
    let (_, _pv, mut other) = host.guest("other");
    let other = std::thread::spawn(move || {
        other.echo();
        other
    });
    unpacked(&host, "conserver");
    let pages = blocks("conserver.md", "conserver");
    let lines = blocks("conserver.md", "sh");
    let [.., serve, list, attach] = &lines[..] else {
        panic!("{lines:?}")
    };
    let dir = host.dir.path().join("conserver");
    std::fs::create_dir(&dir).unwrap();
    let port = free_port();
    let here = |line: &str| {
        line.replace("xen1.example.org", "127.0.0.1")
            .replace("xen2.example.org", "127.0.0.2")
            .replace("-p 782", &format!("-p {port}"))
    };
    // The first server has the second one's consoles in its configuration.
    let text = pages[0]
        .replace("allowed", "allowed 127.0.0.2")
        .replace("/etc/conserver", &dir.to_string_lossy());
    let passwords = lines[0].replace("/etc/conserver", &dir.to_string_lossy());
    let known = host.shell(&with_password(&passwords)).status();
    assert!(known.unwrap().success());
    let servers = [
        ("127.0.0.1", [&text, &*pages[1]].concat()),
        ("127.0.0.2", text.replace("guest", "other")),
    ];
    let servers = servers.map(|(address, text)| {
        let file = dir.join(address);
        let text = text
            .replace("/run/vconsoled", &host.run().to_string_lossy())
            .replace("/var/log/conserver", &dir.to_string_lossy());
        std::fs::write(&file, here(&text)).unwrap();
        let line = serve.replace("/etc/conserver/conserver.cf", &file.to_string_lossy());
        let line = here(&line.replace("xen1.example.org", address));
        let mut command = host.shell(&format!("exec {line} -L {}.log", file.display()));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Program::start(command)
    });
    for address in ["127.0.0.1", "127.0.0.2"] {
        wait_for("conserver", || TcpStream::connect((address, port)).ok());
    }
    // Each server has its own console, and the first lists all.
    for name in ["guest/vuart0", "other/vuart0"] {
        wait_for("a server at each console", || {
            let consoles = host.consoles();
            let mut named = consoles.iter().filter(|one| {
                name.split_once('/') == one["name"].as_str().zip(one["console"].as_str())
            });
            named.any(|one| one["viewers"] == 1).then_some(())
        });
    }
    let mut user = Terminal::open();
    let mut listing = host.login(&user, &here(list));
    log_in(&mut user);
    for console in ["guest", "other"] {
        user.until(console);
    }
    listing.wait();
    let mut user = Terminal::open();
    let mut session = host.login(&user, &here(attach));
    // The client gives the password to the console's host, too.
    log_in(&mut user);
    user.until("help]");
    user.write(b"on the other host\r");
    user.until("echo: on the other host");
    user.write(b"off\r");
    user.until("echo: off");
    user.write(b"\x05c.");
    session.wait();
    other.join().unwrap();
    servers.into_iter().for_each(stop);
    end(&host);
    guest.join().unwrap();
}

/// The command for a password hash, with the password.
fn with_password(line: &str) -> String {
    line.replace("openssl passwd -6", "openssl passwd -6 secret")
}

/// Enters the password.
fn log_in(user: &mut Terminal) {
    user.until("password:");
    user.write(b"secret\r");
}
