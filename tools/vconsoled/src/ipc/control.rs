// SPDX-License-Identifier: MIT
//! The control socket: its clients, and their partly received requests.

use std::io::{self, Read, Write};

use console_proto::{Answer, Error, REQUEST_MAX, Request, Tenant};
use mio::Token;
use mio::net::UnixStream;

use crate::access::{Caller, Way};
use crate::ipc::caller::caller;
use crate::ipc::listener::{Client, Clients, Listener};

/// The control socket's clients.
pub(crate) type Control = Clients<ControlClient>;

/// A connection, and its request so far.
pub(crate) struct ControlClient {
    caller: Caller,
    stream: UnixStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    answered: bool,
}

impl Client for ControlClient {
    type Listener = Listener;

    const MOST: usize = 32;

    fn new(stream: UnixStream) -> Self {
        Self {
            caller: caller(&stream, Way::Control),
            stream,
            request: Vec::new(),
            answer: Vec::new(),
            answered: false,
        }
    }

    fn user(&self) -> u32 {
        self.caller.uid
    }
}

impl Control {
    /// Serves the client of that token, if there is one. `handle` is called with
    /// its complete request. A client that asks to be attached is returned with
    /// its request; it gets another token.
    pub(crate) fn serve(
        &mut self,
        token: Token,
        handle: impl FnOnce(Request, &Caller) -> Answer,
    ) -> Option<(UnixStream, Vec<u8>, Caller)> {
        let next = self.get_mut(token)?.advance(handle);
        if next == Step::More {
            return None;
        }
        let client = self.remove(token)?;
        (next == Step::Attach).then_some((client.stream, client.request, client.caller))
    }
}

/// The state of a client after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// More bytes are to be received or sent.
    More,
    /// It is finished.
    Over,
    /// It asks to be attached.
    Attach,
}

impl ControlClient {
    /// Takes the line as the tenant of the next one, if it is such a line.
    /// Allowed once.
    fn take_tenant(&mut self) -> bool {
        if !Tenant::is_named_by(&self.request) || self.caller.tenant.is_some() {
            return false;
        }
        self.caller.tenant = Tenant::parse(&self.request);
        let is_named = self.caller.tenant.is_some();
        if is_named {
            self.request.clear();
        }
        is_named
    }

    /// Reads, answers, writes.
    fn advance(&mut self, handle: impl FnOnce(Request, &Caller) -> Answer) -> Step {
        while !self.answered {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(0) => return Step::Over,
                // One byte at a time: frames follow an attach request's line.
                Ok(_) if byte != *b"\n" => self.request.push(byte[0]),
                Ok(_) if self.request.starts_with(b"{") => return Step::Attach,
                Ok(_) if self.take_tenant() => {}
                Ok(_) => {
                    self.answer = answer(&self.request, |request| handle(request, &self.caller));
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
