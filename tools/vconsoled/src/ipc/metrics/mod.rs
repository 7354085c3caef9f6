// SPDX-License-Identifier: MIT
//! The metrics socket, and port if there is one: answers GET requests by
//! HTTP/1.0, as `curl --unix-socket` and Prometheus send them, and sends the bare
//! text to clients that shut down their side or send another line.

mod table;
mod text;

use std::io::{self, Read, Write};

use mio::Token;
use mio::net::{TcpListener, TcpStream, UnixStream};

use crate::ipc::listener::{Client, Clients, Listener};

pub(crate) use text::{Denied, Process, write};

/// Longest request, in bytes; longer ones are refused.
const REQUEST_MAX: usize = 8192;

/// The content type of Prometheus' format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics socket's clients.
pub(crate) type Metrics = Clients<MetricsClient<UnixStream>>;

/// The metrics port's clients.
pub(crate) type TcpMetrics = Clients<MetricsClient<TcpStream>>;

impl<S: Read + Write> Clients<MetricsClient<S>>
where
    MetricsClient<S>: Client,
{
    /// Serves the client of that token, if there is one. `text` is called if it
    /// is needed.
    pub(crate) fn serve(&mut self, token: Token, text: impl FnOnce() -> String) {
        if let Some(client) = self.get_mut(token)
            && !client.advance(text)
        {
            self.remove(token);
        }
    }
}

/// A connection, its request so far, and the answer.
pub(crate) struct MetricsClient<S> {
    stream: S,
    request: Vec<u8>,
    answer: Option<Answer>,
}

/// An answer, and how much of it was sent.
struct Answer {
    bytes: Vec<u8>,
    sent: usize,
}

/// The kind of a request so far.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// It is incomplete.
    More,
    /// The bare text.
    Bare,
    /// The text, or an error, with a header of that status.
    Http(&'static str),
}

impl Client for MetricsClient<UnixStream> {
    type Listener = Listener;

    // Each may hold an answer of megabytes.
    const MOST: usize = 4;

    fn new(stream: UnixStream) -> Self {
        Self::of(stream)
    }
}

impl Client for MetricsClient<TcpStream> {
    type Listener = TcpListener;

    // Any user can connect.
    const MOST: usize = 8;

    fn new(stream: TcpStream) -> Self {
        Self::of(stream)
    }
}

impl<S: Read + Write> MetricsClient<S> {
    fn of(stream: S) -> Self {
        Self {
            stream,
            request: Vec::new(),
            answer: None,
        }
    }

    /// Reads, answers, writes; `false` when finished.
    fn advance(&mut self, text: impl FnOnce() -> String) -> bool {
        if self.answer.is_none() {
            let Ok(ended) = self.read() else {
                return false;
            };
            match wanted(&self.request, ended) {
                Wanted::More => return self.request.len() < REQUEST_MAX,
                Wanted::Bare => self.answer(text()),
                Wanted::Http("200 OK") => self.answer(with_header("200 OK", &text())),
                Wanted::Http(status) => self.answer(with_header(status, "")),
            }
        }
        self.write()
    }

    fn answer(&mut self, text: String) {
        self.answer = Some(Answer {
            bytes: text.into_bytes(),
            sent: 0,
        });
    }

    /// Reads available bytes. Returns whether the client shut down its side.
    fn read(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 1024];
        while self.request.len() < REQUEST_MAX {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(length) => self.request.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn write(&mut self) -> bool {
        while let Some(answer) = &mut self.answer
            && answer.sent < answer.bytes.len()
        {
            match self.stream.write(&answer.bytes[answer.sent..]) {
                Ok(length) => answer.sent += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        false
    }
}

fn wanted(request: &[u8], ended: bool) -> Wanted {
    let Some(end) = request.iter().position(|byte| *byte == b'\n') else {
        return if ended { Wanted::Bare } else { Wanted::More };
    };
    let line = String::from_utf8_lossy(&request[..end]);
    let mut words = line.split_whitespace();
    let (method, path, version) = (words.next(), words.next(), words.next());
    if !version.is_some_and(|version| version.starts_with("HTTP/")) {
        return Wanted::Bare;
    }
    // The other headers are ignored, but must be read: a peer may treat a reset
    // as a failure.
    let complete = [&b"\r\n\r\n"[..], b"\n\n"]
        .iter()
        .any(|blank| request.windows(blank.len()).any(|part| part == *blank));
    if !complete && !ended {
        return Wanted::More;
    }
    Wanted::Http(match (method, path) {
        (Some("GET"), Some("/" | "/metrics")) => "200 OK",
        (Some("GET"), _) => "404 Not Found",
        _ => "405 Method Not Allowed",
    })
}

fn with_header(status: &str, text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.0 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_distinguished() {
        for (request, ended, expected) in [
            ("", false, Wanted::More),
            ("", true, Wanted::Bare),
            ("\n", false, Wanted::Bare),
            ("metrics\n", false, Wanted::Bare),
            ("GET /metrics", false, Wanted::More),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n", false, Wanted::More),
            (
                "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                false,
                Wanted::Http("200 OK"),
            ),
            ("GET / HTTP/1.0\n\n", false, Wanted::Http("200 OK")),
            ("GET / HTTP/1.0\r\n", true, Wanted::Http("200 OK")),
            (
                "GET /x HTTP/1.0\r\n\r\n",
                false,
                Wanted::Http("404 Not Found"),
            ),
            (
                "POST / HTTP/1.0\r\n\r\n",
                false,
                Wanted::Http("405 Method Not Allowed"),
            ),
        ] {
            assert_eq!(wanted(request.as_bytes(), ended), expected, "{request:?}");
        }
    }
}
