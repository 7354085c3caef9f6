// SPDX-License-Identifier: MIT
//! The control socket: its clients, and what they ask for as far as it came.

use std::io::{self, Read, Write};
use std::path::Path;

use console_proto::{Answer, Error, REQUEST_MAX, Request};
use mio::net::UnixStream;
use mio::{Registry, Token};

use crate::ipc::listener::{Access, Clients};

/// Most clients at once; a further one closes the oldest.
const CLIENTS_MAX: usize = 32;

/// The listening socket and its clients.
pub(crate) struct Control(Clients<ControlClient>);

struct ControlClient {
    stream: UnixStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    answered: bool,
}

impl From<UnixStream> for ControlClient {
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

    /// Takes in those who have connected, `most` at once; whether more may
    /// wait.
    pub(crate) fn accept(
        &mut self,
        most: &mut usize,
        registry: &Registry,
        token: impl FnMut() -> Token,
    ) -> io::Result<bool> {
        self.0.accept(most, registry, token)
    }

    /// Whether a client has that token.
    pub(crate) fn has(&self, token: Token) -> bool {
        self.0.has(token)
    }

    /// Goes on with the client of that token, if there is one. `handle` is
    /// asked when its request is complete. A client that wants to be attached is handed
    /// out with its request.
    pub(crate) fn serve(
        &mut self,
        token: Token,
        registry: &Registry,
        handle: impl FnOnce(Request) -> Answer,
    ) -> Option<(UnixStream, Vec<u8>)> {
        let next = self.0.get_mut(token)?.advance(handle);
        if next == Step::More {
            return None;
        }
        let mut client = self.0.remove(token)?;
        if next == Step::Over {
            return None;
        }
        // It goes on under another token.
        registry.deregister(&mut client.stream).ok()?;
        Some((client.stream, client.request))
    }
}

/// What is to become of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is more to come, or to send.
    More,
    /// It is over.
    Over,
    /// It wants to be attached.
    Attach,
}

impl ControlClient {
    /// Reads, answers, writes.
    fn advance(&mut self, handle: impl FnOnce(Request) -> Answer) -> Step {
        while !self.answered {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(0) => return Step::Over,
                // One at a time: what follows an attachment's line are frames.
                Ok(_) if byte != *b"\n" => self.request.push(byte[0]),
                Ok(_) if self.request.starts_with(b"{") => return Step::Attach,
                Ok(_) => {
                    self.answer = answer(&self.request, handle);
                    self.answered = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Step::Over,
            }
            if self.request.len() > REQUEST_MAX {
                return Step::Over;
            }
        }
        while !self.answer.is_empty() {
            match self.stream.write(&self.answer) {
                Ok(length) => drop(self.answer.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::More,
                Err(_) => return Step::Over,
            }
        }
        if self.answered {
            Step::Over
        } else {
            Step::More
        }
    }
}

fn answer(request: &[u8], handle: impl FnOnce(Request) -> Answer) -> Vec<u8> {
    let answer = Request::parse(request)
        .map_or_else(|| Answer::Error(Error::new("unknown request")), handle);
    console_proto::line(&answer)
}
