// SPDX-License-Identifier: MIT
//! The control socket: a line asks, a line of JSON answers.
//!
//! `status`, or `break CONSOLE` with a console as the status names it:
//! `DOMID/CONSOLE`.

use std::io::{self, Read, Write};
use std::path::Path;

use mio::net::UnixStream;
use mio::{Registry, Token};
use serde::{Deserialize, Serialize};

use crate::ipc::listener::{Access, Clients};

/// Longest request, in bytes.
const REQUEST_MAX: usize = 1024;
/// Most clients at once; a further one closes the oldest.
const CLIENTS_MAX: usize = 32;

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// What is served.
    Status,
    /// A break on the console of that name.
    Break(&'a str),
}

impl<'a> Request<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        match std::str::from_utf8(line).ok()?.split_once(' ') {
            None if line == b"status" => Some(Self::Status),
            Some(("break", console)) => Some(Self::Break(console)),
            _ => None,
        }
    }
}

/// What it is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// What is served.
    Status(Status),
    /// It is done.
    Done {
        /// What was asked for.
        done: &'static str,
    },
    /// It cannot be done.
    Error {
        /// Why not.
        error: String,
    },
}

/// The answer to `status`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// Version of this format.
    pub version: u32,
    /// The daemon's process.
    pub pid: u32,
    /// Every console, by domain.
    pub consoles: Vec<ConsoleStatus>,
}

/// One console.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ConsoleStatus {
    /// The domain.
    pub domid: u16,
    /// Its name.
    pub name: String,
    /// Which of its consoles: `pv0`, `vuart0`, or `pv1` and so on.
    pub console: String,
    /// The kind of ring: `pv`, `vuart`, `vuart-private` or `pv-secondary`; or
    /// `channel`, whose `tty` is its socket.
    pub kind: String,
    /// The pty.
    pub tty: String,
    /// Its log file, if it has one.
    pub log: String,
    /// How many have the pty open or are on a socket.
    pub viewers: usize,
    /// Bytes taken from the guest.
    pub from_guest: u64,
    /// Bytes given to the guest.
    pub to_guest: u64,
    /// Notifications received.
    pub doorbells_in: u64,
    /// Notifications sent.
    pub doorbells_out: u64,
    /// Times the ring's indices made no sense.
    pub resyncs: u64,
    /// Bytes that the pty did not take.
    pub dropped: u64,
    /// Bytes that viewers on sockets were too slow for.
    pub lost: u64,
    /// Bytes in the ring, from the guest.
    pub out_waiting: usize,
    /// Bytes in the ring, to the guest.
    pub in_waiting: usize,
    /// Bytes that are missing from the log.
    #[serde(default)]
    pub log_lost: u64,
    /// Lines that are missing from the journal.
    #[serde(default)]
    pub journal_lost: u64,
    /// `connected`, or why not.
    pub state: String,
}

/// The listening socket and its clients.
pub(crate) struct Control(Clients<Client>);

struct Client {
    stream: UnixStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    answered: bool,
}

impl From<UnixStream> for Client {
    fn from(stream: UnixStream) -> Self {
        Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
            answered: false,
        }
    }
}

impl Control {
    /// Listens at `path`.
    pub(crate) fn listen(
        path: &Path,
        access: Access,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        Clients::listen(path, access, CLIENTS_MAX, registry, token).map(Self)
    }

    /// Takes in everyone who has connected.
    pub(crate) fn accept(
        &mut self,
        registry: &Registry,
        token: impl FnMut() -> Token,
    ) -> io::Result<()> {
        self.0.accept(registry, token)
    }

    /// Goes on with the client of that token, if there is one. `obey` is
    /// asked when its request is complete. A client that wants to be attached is handed
    /// out with its request.
    pub(crate) fn serve(
        &mut self,
        token: Token,
        registry: &Registry,
        obey: impl FnOnce(Request) -> Answer,
    ) -> Option<(UnixStream, Vec<u8>)> {
        let next = self.0.get_mut(token)?.advance(obey);
        if next == Next::More {
            return None;
        }
        let mut client = self.0.remove(token)?;
        if next == Next::Over {
            return None;
        }
        // It goes on under another token.
        registry.deregister(&mut client.stream).ok()?;
        Some((client.stream, client.request))
    }
}

/// What is to become of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// There is more to come, or to send.
    More,
    /// It is over.
    Over,
    /// It wants to be attached.
    Attach,
}

impl Client {
    /// Reads, answers, writes.
    fn advance(&mut self, obey: impl FnOnce(Request) -> Answer) -> Next {
        while !self.answered {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(0) => return Next::Over,
                // One at a time: what follows an attachment's line are frames.
                Ok(_) if byte != *b"\n" => self.request.push(byte[0]),
                Ok(_) if self.request.starts_with(b"{") => return Next::Attach,
                Ok(_) => {
                    self.answer = answer(&self.request, obey);
                    self.answered = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Next::Over,
            }
            if self.request.len() > REQUEST_MAX {
                return Next::Over;
            }
        }
        while !self.answer.is_empty() {
            match self.stream.write(&self.answer) {
                Ok(length) => drop(self.answer.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::More,
                Err(_) => return Next::Over,
            }
        }
        if self.answered {
            Next::Over
        } else {
            Next::More
        }
    }
}

fn answer(request: &[u8], obey: impl FnOnce(Request) -> Answer) -> Vec<u8> {
    let answer = Request::parse(request).map_or_else(
        || Answer::Error {
            error: "unknown request".to_owned(),
        },
        obey,
    );
    let mut line =
        serde_json::to_string(&answer).unwrap_or_else(|_| r#"{"error":"internal"}"#.to_owned());
    line.push('\n');
    line.into_bytes()
}
