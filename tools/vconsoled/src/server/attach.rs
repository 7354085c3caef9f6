// SPDX-License-Identifier: MIT
//! Accepts viewers on the control socket, by their attach request.

use std::io::Write as _;

use console_proto::{Attach, Attached, Code, Error, Mode, VERSION, line};
use mio::net::UnixStream;
use vpl011::ring::layout::OUT_SIZE;

use super::Server;
use crate::access::Caller;
use crate::sink::clients::session::{Encoding, Session};
use crate::sink::clients::visitor::Visitor;

/// Longest origin, in characters.
const ORIGIN_MAX: usize = 64;

/// How and where a viewer is attached.
struct Place {
    owner: usize,
    mode: Mode,
    /// It types exclusively.
    exclusive: bool,
    /// Position of its first byte.
    position: u64,
    console: (String, String),
    /// The origin from its request.
    origin: Option<String>,
    answer: Vec<u8>,
}

impl Server {
    /// Answers an attach request; the stream is the viewer's from then on.
    pub(super) fn attach(&mut self, mut stream: UnixStream, request: &[u8], caller: Caller) {
        let place = match self.prepare(request, &caller) {
            Ok(place) => place,
            // Nothing was sent yet, so there is room for it.
            Err(refused) => {
                self.refuse("attach", &refused, &caller);
                return drop(stream.write(&line(&refused)));
            }
        };
        let (owner, mode, position) = (place.owner, place.mode, place.position);
        let visitor = Visitor::new(caller, place.origin, place.console, &self.audit);
        let session = self.admit(owner, stream, |stream| {
            let encoding = Encoding::Framed;
            Session::new(stream, visitor, encoding, mode, position, place.answer)
        });
        if place.exclusive {
            self.hold(owner, session);
        }
    }

    fn prepare(&mut self, request: &[u8], caller: &Caller) -> Result<Place, Error> {
        let wanted =
            Attach::parse(request).map_err(|error| Error::coded(Code::BadRequest, error))?;
        let (owner, others, admission) = self.find_console(&wanted, caller)?;
        let mode = admission.mode;
        let room = self.has_room(owner, caller);
        let Some(console) = self.served.consoles.get(&owner).filter(|_| room) else {
            return Err(Error::coded(Code::TooMany, "too many viewers"));
        };
        if let Some(how) = wanted.exclusive {
            self.check_exclusive(console, caller, mode, how)?;
        }
        let held = wanted.exclusive.is_none() && console.clients.holder().is_some();
        let slot = console.slot.to_string();
        let output = console.output();
        let end = output.end();
        let position = match &wanted.resume {
            // The position in the request may be one that it never reached.
            _ if !admission.scrollback => end,
            // It may be ahead of the buffer by a ring's size: after a crash the
            // ring delivers those bytes again.
            Some(resume)
                if resume.stream == console.stream && resume.from <= end + OUT_SIZE as u64 =>
            {
                resume.from
            }
            _ => match wanted.scrollback {
                None => output.scrollback(),
                Some(bytes) => output.start().max(end.saturating_sub(bytes)),
            },
        };
        let answer = Attached {
            version: VERSION,
            domid: console.domid.0,
            name: console.name.clone(),
            kind: console.source().kind().to_string(),
            mode: if held { Mode::ReadOnly } else { mode },
            stream: console.stream.clone(),
            position,
            end,
            others,
            banner: self.config.banner(&console.name, &slot).to_owned(),
            console: slot,
        };
        let origin = wanted.origin;
        Ok(Place {
            owner,
            mode,
            exclusive: wanted.exclusive.is_some(),
            position,
            console: console.names(),
            origin: origin.map(|origin| origin.chars().take(ORIGIN_MAX).collect()),
            answer: line(&answer),
        })
    }
}
