// SPDX-License-Identifier: MIT
//! Letting viewers in: by the control socket, who say what they want, and by
//! a console's own sockets.

use std::io::Write as _;

use mio::Interest;
use mio::event::Event;
use mio::net::UnixStream;
use vpl011::ring::layout::OUT_SIZE;
use xen_io::DomId;

use super::{Server, take_token};
use crate::attach::{self, Attach, Attached, Mode, Refused, VERSION};
use crate::console::Console;
use crate::listener::Access;
use crate::viewer::{Speech, Viewer};

/// Most viewers of all consoles together: the others' descriptors are for the
/// consoles themselves.
const VIEWERS_MAX: usize = 1024;

impl Server {
    /// Opens a console's sockets. It is served without them if need be.
    pub(super) fn open_doors(&mut self, token: usize) {
        let (Some(sockets), Some(console)) = (&self.sockets, self.consoles.get_mut(&token)) else {
            return;
        };
        let (domid, slot) = (console.domid, console.slot);
        for mode in [Mode::ReadWrite, Mode::ReadOnly] {
            let door_token = take_token(&mut self.next_token);
            let access = Access {
                mode: self.config.sockets.consoles_mode,
                group: self.config.sockets.group.as_deref(),
            };
            let door = sockets
                .listen(domid, &slot.to_string(), mode, access)
                .and_then(|mut door| {
                    door.register(self.poll.registry(), door_token)?;
                    Ok(door)
                });
            match door {
                Ok(door) => {
                    console.audience.add_door(door_token.0, door);
                    self.owners.insert(door_token.0, token);
                }
                Err(error) => tracing::warn!("domain {domid} {slot}: no socket: {error}"),
            }
        }
        if let Err(error) = sockets.link(domid, &console.name) {
            tracing::warn!("domain {domid}: its sockets are not found by name: {error}");
        }
    }

    /// Takes leave of a console's viewers and closes its sockets.
    pub(super) fn close_doors(&mut self, console: &mut Console) {
        let why = if self.is_stopping() {
            "daemon"
        } else if self.domains.contains(&console.domid) {
            "console"
        } else {
            "domain"
        };
        for token in console.audience.tokens() {
            self.owners.remove(&token);
        }
        console.take_leave(why);
        if let Some(sockets) = &self.sockets {
            sockets.forget(console.domid, &console.name);
        }
    }

    /// Something happened at one of a console's sockets.
    pub(super) fn on_audience(&mut self, owner: usize, event: &Event) {
        let Some(console) = self.consoles.get_mut(&owner) else {
            return;
        };
        let token = event.token().0;
        console.audience.on_ready(token, event);
        let came = console.audience.accept(token);
        self.ready.push_back(owner);
        for (stream, mode) in came {
            self.admit_plain(owner, stream, mode);
        }
    }

    fn admit_plain(&mut self, owner: usize, mut stream: UnixStream, mode: Mode) {
        let full = self.is_full();
        let Some(console) = self.consoles.get_mut(&owner) else {
            return;
        };
        if full || !console.has_room() {
            let _told = stream.write(b"[too many viewers]\r\n");
            return;
        }
        let position = console.history().scrollback();
        self.admit(owner, stream, |stream| {
            Viewer::new(stream, Speech::Plain, mode, position, Vec::new())
        });
    }

    fn is_full(&self) -> bool {
        // Each console has two doors.
        self.owners.len() >= VIEWERS_MAX + 2 * self.consoles.len()
    }

    fn admit(
        &mut self,
        owner: usize,
        mut stream: UnixStream,
        viewer: impl FnOnce(UnixStream) -> Viewer,
    ) {
        let token = take_token(&mut self.next_token);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, token, interest);
        match (registered, self.consoles.get_mut(&owner)) {
            (Ok(()), Some(console)) => {
                console.audience.admit(token.0, viewer(stream));
                self.owners.insert(token.0, owner);
                self.ready.push_back(owner);
            }
            (Ok(()), None) => {}
            (Err(error), _) => tracing::warn!("a viewer cannot be let in: {error}"),
        }
    }

    /// Answers a request to be attached; the stream is the viewer's from then
    /// on.
    pub(super) fn attach(&mut self, mut stream: UnixStream, line: &[u8]) {
        match self.prepare(line) {
            Ok((owner, mode, position, greeting)) => self.admit(owner, stream, |stream| {
                Viewer::new(stream, Speech::Framed, mode, position, greeting)
            }),
            // Nothing was sent yet, so there is room for it.
            Err(refused) => drop(stream.write(&attach::line(&refused))),
        }
    }

    /// Where a viewer is let in: the console, what it may do, the position of
    /// its first byte, and its answer.
    fn prepare(&mut self, line: &[u8]) -> Result<(usize, Mode, u64, Vec<u8>), Refused> {
        let wanted = Attach::parse(line).map_err(|error| Refused::new("bad-request", error))?;
        let owner = self.find_console(&wanted)?;
        let full = self.is_full();
        let room = self
            .consoles
            .get_mut(&owner)
            .filter(|_| !full)
            .is_some_and(Console::has_room);
        let Some(console) = self.consoles.get(&owner).filter(|_| room) else {
            return Err(Refused::new("too-many", "too many viewers"));
        };
        let history = console.history();
        let end = history.end();
        let position = match (&wanted.stream, wanted.from) {
            // It may be ahead of us by what the ring gives us once more after
            // an end without warning.
            (Some(stream), Some(from))
                if *stream == console.stream && from <= end + OUT_SIZE as u64 =>
            {
                from
            }
            _ => match wanted.scrollback {
                None => history.scrollback(),
                Some(bytes) => history.start().max(end.saturating_sub(bytes)),
            },
        };
        let answer = Attached {
            version: VERSION,
            domid: console.domid.0,
            name: console.name.clone(),
            console: console.slot.to_string(),
            kind: console.source().kind().to_string(),
            mode: wanted.mode,
            stream: console.stream.clone(),
            position,
            end,
        };
        Ok((owner, wanted.mode, position, attach::line(&answer)))
    }

    /// The console that a request means: a name comes before a number that it
    /// looks like.
    fn find_console(&self, wanted: &Attach) -> Result<usize, Refused> {
        let domid = match (&wanted.name, wanted.domid) {
            (Some(name), _) => self
                .consoles
                .values()
                .find(|console| console.name == *name)
                .map(|console| console.domid),
            (None, domid) => domid
                .map(DomId)
                .filter(|domid| self.domains.contains(domid)),
        };
        let Some(domid) = domid else {
            return Err(Refused::new("no-domain", "there is no such domain"));
        };
        self.consoles
            .iter()
            .find(|(_, console)| {
                console.domid == domid && console.slot.to_string() == wanted.console
            })
            .map(|(token, _)| *token)
            .ok_or_else(|| {
                let what = format!("domain {domid} has no {:?} now", wanted.console);
                Refused::new("no-console", what)
            })
    }
}
