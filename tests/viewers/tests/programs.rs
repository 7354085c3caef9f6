// SPDX-License-Identifier: MIT
//! Other people's programs on a console, by the commands of
//! docs/use/integrations/, word for word but for paths and ports.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use viewers::{Guest, Host, PATIENCE, Program, Terminal, wait_for};

/// The blocks of one kind in a page.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/use/integrations");
    let text = std::fs::read_to_string(root.join(page)).unwrap();
    let start = format!("```{kind}\n");
    let blocks = text.split(&start).skip(1);
    blocks
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

/// A host with a guest that echoes what it is told on its UART.
fn host() -> (Host, std::thread::JoinHandle<Guest>) {
    let host = Host::start();
    let (_, _pv, mut vuart) = host.guest("guest");
    vuart.send(b"welcome\r\n");
    let guest = std::thread::spawn(move || {
        vuart.echo();
        vuart
    });
    (host, guest)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

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
    let [.., listen, call] = &lines[..] else {
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
    // It is there before whoever it calls; on a busy machine perhaps not, and then
    // it need not try again.
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

/// Exactly that comes next.
fn says(stream: &mut TcpStream, text: &str) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = vec![0; text.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), text);
}

#[test]
fn screen() {
    let (host, guest) = host();
    let lines = blocks("screen.md", "sh");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let sessions = host.dir.path().join("screens");
    std::fs::create_dir(&sessions).unwrap();
    private(&sessions);
    for (line, leave) in lines.iter().zip([&b"\x1d"[..], b"\x01ky"]) {
        let mut user = Terminal::open();
        let line = format!("SCREENDIR={} {line}", sessions.display());
        let mut session = host.login(&user, &line);
        host.until_viewers("vuart0", 1);
        user.write(b"in screen\r");
        user.until("echo: in screen");
        user.write(leave);
        user.until("[screen is terminating]");
        assert!(session.wait().success());
        assert!(user.is_cooked());
        host.until_viewers("vuart0", 0);
    }
    end(&host);
    guest.join().unwrap();
}

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
    // Nobody without a password has the console, whatever name is given.
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
    // The daemon is restarted, and conserver comes back for the next user.
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

/// Two hosts on one machine: their servers have an address of their own.
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
    // The first knows of what the second has.
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
    // Each host has what is its own, and the first knows them all.
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
    // The client gives the password to the host that has the console, too.
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

/// The line that asks for a password, with one.
fn with_password(line: &str) -> String {
    line.replace("openssl passwd -6", "openssl passwd -6 secret")
}

/// Gives it to the server that asks for it.
fn log_in(user: &mut Terminal) {
    user.until("password:");
    user.write(b"secret\r");
}

/// As the page's script asks: a session is made, keys go in as hexadecimal
/// digits, and a request waits until there is output.
#[test]
fn shellinabox() {
    let (host, guest) = host();
    unpacked(&host, "shellinaboxd");
    let lines = blocks("web.md", "sh");
    let socket = host.dir.path().join("console.sock");
    // A service gets no environment from the server.
    let client = format!(
        "{} attach --control {}",
        viewers::vconsole().display(),
        host.control().display()
    );
    let line = lines[0]
        .replace("/run/console.sock", &socket.to_string_lossy())
        .replace("vconsole attach", &client);
    let mut command = host.shell(&format!("exec {line}"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Program::start(command);
    wait_for("the web server", || UnixStream::connect(&socket).ok());
    let metadata = std::fs::metadata(&socket).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    let page = http(&socket, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.contains("<html") || page.contains("<HTML"), "{page}");

    let size = "width=80&height=24";
    let rooturl = "rooturl=http%3A%2F%2Flocalhost%2F";
    let answer = json(&post(&socket, &format!("{size}&{rooturl}")));
    let session = answer["session"].as_str().expect("a session").to_owned();
    let mut shown = String::new();
    let mut until = |words: &str| {
        wait_for(words, || {
            let more = json(&post(&socket, &format!("{size}&session={session}")));
            shown.push_str(more["data"].as_str().unwrap_or_default());
            shown.contains(words).then_some(())
        });
    };
    until("welcome");
    // "from a browser" and a carriage return.
    let keys = "66726F6D20612062726F777365720D";
    post(&socket, &format!("{size}&session={session}&keys={keys}"));
    until("echo: from a browser");
    stop(server);
    end(&host);
    guest.join().unwrap();
}

/// Ends a server in order, with the processes that it started.
fn stop(mut server: Program) {
    server.signal(rustix::process::Signal::TERM);
    server.wait();
}

/// Says what to do where a program is not there.
fn unpacked(host: &Host, program: &str) {
    let found = host.shell(&format!("command -v {program}")).output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found, "no {program} here: run `cargo xtask programs`");
}

fn post(socket: &Path, body: &str) -> String {
    http(
        socket,
        &format!(
            "POST /? HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn http(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    // The server keeps the connection: its head says how long the body is.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next());
    let length: usize = length
        .and_then(|digits| digits.parse().ok())
        .expect("a length");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8_lossy(&body).into_owned()
}

/// Tells the guest to stop.
fn end(host: &Host) {
    let mut client = Program::piped(host.vconsole("attach guest/vuart0"));
    client.write(b"\roff\r");
    wait_for("the guest's end", || {
        let mut byte = [0];
        let mut seen = Vec::new();
        let stdout = client.child().stdout.as_mut()?;
        while !seen.ends_with(b"echo: off") {
            stdout.read_exact(&mut byte).ok()?;
            seen.push(byte[0]);
        }
        Some(())
    });
}

fn private(dir: &Path) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
}
