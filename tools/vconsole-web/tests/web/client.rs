// SPDX-License-Identifier: MIT
//! A host with rules for tenants, the service's program, and its clients.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};
use vconsole_web::new_token;
use vconsoled::Config;
use viewers::{Host, PATIENCE};

/// A host on which alice may use the guest `web`, and bob may only watch it.
pub(crate) fn host() -> Host {
    host_with(|_| ())
}

/// The same, with a configuration changed by `change`.
pub(crate) fn host_with(change: impl FnOnce(&mut Config)) -> Host {
    let us = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    let rule = |tenant: &str, rights: &str| {
        format!(
            "[[access]]\ntenants = ['{tenant}']\nby = ['{us}']\ndomains = ['web*', '<*']\n\
             rights = [{rights}]\n"
        )
    };
    let rules = rule("alice", "'log', 'type', 'break'") + &rule("bob", "'watch'");
    Host::with(|config| {
        config.access = Config::parse(&rules).unwrap().access;
        change(config);
    })
}

/// The service.
pub(crate) struct Web {
    process: Child,
    /// The address that it printed.
    pub(crate) address: String,
    /// The tokens of alice and bob.
    pub(crate) tokens: [String; 2],
    _dir: tempfile::TempDir,
}

impl Web {
    pub(crate) fn start(host: &Host) -> Self {
        Self::with(host, &["--listen", "127.0.0.1:0"], "")
    }

    /// With those arguments, and more lines in the file of tenants.
    pub(crate) fn with(host: &Host, words: &[&str], tenants: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [(alice, first), (bob, second)] = ["alice", "bob"].map(|name| new_token(name).unwrap());
        let file = dir.path().join("tenants");
        std::fs::write(&file, format!("{first}\n{second}\n{tenants}")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_vconsole-web"))
            .arg("--control")
            .arg(host.control())
            .arg("--tenants")
            .arg(file)
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut address).unwrap();
        Self {
            process,
            address: address.trim().to_owned(),
            tokens: [alice, bob],
            _dir: dir,
        }
    }

    pub(crate) fn host_port(&self) -> &str {
        let (_, rest) = self.address.split_once("://").unwrap();
        rest.trim_end_matches('/')
    }

    pub(crate) fn origin(&self) -> String {
        self.address.trim_end_matches('/').to_owned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.host_port()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.connect(), self.host_port(), "GET", path, headers, None)
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = self.host_port();
        ask(self.connect(), host, "POST", path, headers, Some(body))
    }

    /// Logs in; returns the cookie.
    pub(crate) fn log_in(&self, token: &str) -> String {
        let origin = self.origin();
        let body = format!("token={token}");
        let answer = self.post("/login", &[("origin", &origin)], &body);
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Opens a terminal, or returns the status of the refusal.
    pub(crate) fn try_open(
        &self,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Terminal, u16> {
        let address = format!("ws://{}/ws?{query}", self.host_port());
        let mut request = address.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tungstenite::client(request, self.connect()) {
            Ok((socket, _)) => Ok(Terminal(socket)),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(answer.status().as_u16())
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) fn open(&self, query: &str, cookie: &str) -> Terminal {
        let origin = self.origin();
        self.try_open(query, &[("cookie", cookie), ("origin", &origin)])
            .unwrap()
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// Sends a request over any connection.
pub(crate) fn ask(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let body = body.unwrap_or_default();
    if method == "POST" {
        let kind = "application/x-www-form-urlencoded";
        write!(
            head,
            "content-type: {kind}\r\ncontent-length: {}\r\n",
            body.len()
        )
        .unwrap();
    }
    // It may be refused before all of it is sent.
    let _cut_off = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    // Chromium does not close the connection.
    while !is_whole(&text)
        && let Ok(length @ 1..) = stream.read(&mut piece)
    {
        text.extend_from_slice(&piece[..length]);
    }
    Answer::parse(&String::from_utf8_lossy(&text))
}

/// Whether an answer has as many bytes as it announced.
fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// An answer; the status is 0 if the connection was closed without one.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The token of the page's form.
    pub(crate) fn form(&self) -> &str {
        let (_, rest) = self.body.split_once("name=\"form\" value=\"").unwrap();
        rest.split('"').next().unwrap()
    }
}

/// A terminal's `WebSocket`.
pub(crate) struct Terminal<S = TcpStream>(pub(crate) WebSocket<S>);

impl<S: Read + Write> Terminal<S> {
    /// The next output, or the next event as an error.
    pub(crate) fn next(&mut self) -> Result<Vec<u8>, String> {
        loop {
            match self.0.read().unwrap() {
                Message::Binary(bytes) => return Ok(bytes.into()),
                Message::Text(text) => return Err(text.to_string()),
                _ => {}
            }
        }
    }

    pub(crate) fn event(&mut self) -> String {
        self.next().unwrap_err()
    }

    /// Exactly so many bytes.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(self.next().unwrap());
        }
        assert_eq!(bytes.len(), length, "more than was requested");
        bytes
    }

    pub(crate) fn type_in(&mut self, bytes: &[u8]) {
        self.0.send(Message::binary(bytes.to_vec())).unwrap();
    }

    pub(crate) fn wish(&mut self, text: &str) {
        self.0.send(Message::text(text)).unwrap();
    }
}

/// A member of an event.
pub(crate) fn member<'a>(event: &'a str, name: &str) -> &'a str {
    let (_, rest) = event
        .split_once(&format!("\"{name}\":"))
        .unwrap_or_else(|| panic!("no {name} in {event}"));
    rest.split([',', '}']).next().unwrap().trim_matches('"')
}

/// A file with a certificate or a key, for tests only.
pub(crate) fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/web/certs")
        .join(name)
}
