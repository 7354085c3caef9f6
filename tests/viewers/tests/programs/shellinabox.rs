// SPDX-License-Identifier: MIT
//! A web terminal.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use viewers::{PATIENCE, Program, wait_for};

use crate::{blocks, end, host, stop, unpacked};

/// The requests of the page's script: a session is made, keys are sent as
/// hexadecimal digits, and a request waits until there is output.
#[test]
fn shellinabox() {
    let (host, guest) = host();
    unpacked(&host, "shellinaboxd");
    let lines = blocks("web.md", "sh");
    let socket = host.dir.path().join("console.sock");
    // A service has no environment from the server.
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
    // The server keeps the connection open; the head has the body's length.
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
