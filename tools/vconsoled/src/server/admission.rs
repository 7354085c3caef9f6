// SPDX-License-Identifier: MIT
//! Accepts viewers on a console's own sockets.

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};

use console_proto::Mode;
use mio::Interest;
use mio::event::Event;
use mio::net::UnixStream;
use rustix::fs::FileType;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::access::Admission;
use super::audit::pty_event;
use super::{Server, take_token};
use crate::access::{Caller, Way};
use crate::buffer::{OutputBuffer, Record};
use crate::console::Console;
use crate::ipc::caller::caller;
use crate::ipc::endpoints::{Endpoint, file_name};
use crate::ipc::listener::Access;
use crate::persist::fd_store::{self, Purpose};
use crate::sink::clients::send_queue::SendQueue;
use crate::sink::clients::session::{Encoding, Session};
use crate::sink::clients::set::{Closed, SESSIONS_MAX};
use crate::sink::clients::visitor::Visitor;

/// Most viewers of all consoles together: the other descriptors are for the
/// consoles themselves.
const ALL_SESSIONS_MAX: usize = 1024;
/// How many places of a console, and of all, are for root and the daemon's user
/// only, so that tenants cannot lock them out.
const SPARE: usize = 8;
const ALL_SPARE: usize = 128;

impl Server {
    /// Opens a console's sockets, or resumes those of the last daemon. On failure
    /// the console is served without them.
    pub(super) fn open_endpoints(&mut self, token: usize) {
        let (Some(sockets), Some(console)) =
            (&self.ipc.endpoint_dir, self.served.consoles.get_mut(&token))
        else {
            return;
        };
        let (domid, slot) = (console.domid, console.slot.to_string());
        let access = Access {
            mode: self.config.socket_mode(self.config.sockets.consoles_mode),
            group: self.config.sockets.group.as_deref(),
        };
        let mut inodes = EndpointRecord::of(console.output());
        for (mode, inode) in [
            (Mode::ReadWrite, &mut inodes.read_write),
            (Mode::ReadOnly, &mut inodes.read_only),
        ] {
            let name = fd_store::name(Purpose::Endpoint(mode), console.pty().label());
            let left = self.persist.fd_store.take(&name).pop();
            let left = left.and_then(|left| {
                sockets.resume(left, *inode, (domid, slot.as_str()), mode, access)
            });
            let fresh = left.is_none();
            let endpoint_token = take_token(&mut self.next_token);
            let endpoint = left
                .map_or_else(|| sockets.listen(domid, &slot, mode, access), Ok)
                .and_then(|mut endpoint| {
                    endpoint.register(self.poll.registry(), endpoint_token)?;
                    Ok(endpoint)
                });
            if fresh {
                self.persist.fd_store.remove(&name);
            }
            match endpoint {
                Ok(endpoint) => {
                    if fresh {
                        self.persist.fd_store.store(&name, &[endpoint.as_fd()]);
                    }
                    *inode = endpoint.name().1;
                    console.clients.add_endpoint(endpoint_token.0, endpoint);
                    self.ipc.owners.insert(endpoint_token.0, token);
                }
                Err(error) => tracing::warn!("domain {domid} {slot}: no socket: {error}"),
            }
        }
        // Without the record the next daemon creates new ones.
        let _noted = console
            .output()
            .write_record(Record::Endpoints, inodes.as_bytes());
        let name = console.name.clone();
        self.publish_name(&name);
        self.resume_sessions(token);
    }

    /// Resumes the last daemon's sessions.
    fn resume_sessions(&mut self, owner: usize) {
        if !self.persist.fd_store.is_left() {
            return;
        }
        for number in 0..=u8::MAX {
            if usize::from(number) >= SESSIONS_MAX {
                return;
            }
            for mode in [Mode::ReadWrite, Mode::ReadOnly] {
                let Some(console) = self.served.consoles.get(&owner) else {
                    return;
                };
                let name = fd_store::name(Purpose::Session(mode, number), console.pty().label());
                let left = self.persist.fd_store.take(&name);
                if left.is_empty() {
                    continue;
                }
                let (end, key) = (console.output().end(), (console.domid, console.slot));
                let names = console.names();
                // Otherwise its position is in an output buffer that was lost.
                let left = take_up(left).filter(|(_, queue)| queue.position() <= end);
                let left = left.and_then(|(stream, queue)| {
                    let caller = caller(&stream, Way::Console);
                    let admission = self.admission(&caller, key, mode);
                    if admission.is_none() {
                        self.deny_socket(&caller, key);
                    }
                    let mode = admission?.mode;
                    Some((
                        stream,
                        queue,
                        Visitor::new(caller, None, names, &self.audit),
                        mode,
                    ))
                });
                match left {
                    Some((stream, queue, visitor, mode)) => {
                        self.admit(owner, stream, |stream| {
                            Session::stored(stream, visitor, mode, name, queue)
                        });
                    }
                    None => self.persist.fd_store.remove(&name),
                }
            }
        }
    }

    /// Closes a console's sessions and endpoints. Stored descriptors stay with
    /// the service manager if the daemon ends.
    pub(super) fn close_endpoints(&mut self, console: &mut Console) {
        let why = if self.is_stopping() {
            "daemon"
        } else if self.guests.domains.contains(&console.domid) {
            "console"
        } else {
            "domain"
        };
        for token in console.clients.tokens() {
            self.ipc.owners.remove(&token);
        }
        let stays = self.ending && self.persist.fd_store.is_possible();
        if stays {
            console.clients.leave_endpoints();
        } else {
            self.forget_clients(console);
        }
        console.close_clients(why);
        if console.is_pty_open() {
            self.audit
                .record(pty_event("detached", console).with("why", why));
        }
        if let Some(sockets) = self.ipc.endpoint_dir.as_ref().filter(|_| !stays) {
            // The name goes first, so that it never links to a missing directory.
            self.publish_name(&console.name);
            sockets.forget(console.domid);
        }
    }

    /// Removes a console's sockets and viewers from the store.
    fn forget_clients(&mut self, console: &mut Console) {
        let left = console.clients.take_closed();
        let left = left.into_iter().filter_map(|left| left.stored);
        let viewers = console.clients.stored_names().map(str::to_owned);
        let endpoints = console.clients.endpoints().map(Endpoint::mode);
        let endpoints =
            endpoints.map(|mode| fd_store::name(Purpose::Endpoint(mode), console.pty().label()));
        for name in left.chain(viewers).chain(endpoints) {
            self.persist.fd_store.remove(&name);
        }
    }

    /// Removes sockets of consoles that do not exist any more.
    pub(super) fn sweep_endpoints(&self) {
        let Some(sockets) = &self.ipc.endpoint_dir else {
            return;
        };
        let endpoints = |console: &Console| {
            let domid = console.domid.to_string();
            let names = console
                .clients
                .endpoints()
                .map(|endpoint| endpoint.name().0.to_owned());
            names.map(|name| (domid.clone(), name)).collect::<Vec<_>>()
        };
        let open = self.served.consoles.values().flat_map(endpoints);
        let awaited = self.awaited_with_sockets().flat_map(|(domid, slot)| {
            [Mode::ReadWrite, Mode::ReadOnly]
                .map(|mode| (domid.to_string(), file_name(&slot.to_string(), mode)))
        });
        let open = open.chain(awaited).collect();
        if let Err(error) = sockets.sweep(&open) {
            tracing::warn!("sockets of an earlier daemon cannot be removed: {error}");
        }
    }

    /// Handles readiness of one of a console's sockets.
    pub(super) fn on_client(&mut self, owner: usize, event: &Event) {
        let Some(console) = self.served.consoles.get_mut(&owner) else {
            return;
        };
        let token = event.token().0;
        console.clients.on_ready(token, event);
        self.schedule.ready.push(owner);
        self.admit_to_console(owner, token);
    }

    pub(super) fn admit_plain(&mut self, owner: usize, mut stream: UnixStream, mode: Mode) {
        let caller = caller(&stream, Way::Console);
        let Some(console) = self.served.consoles.get(&owner) else {
            return;
        };
        let (key, names) = ((console.domid, console.slot), console.names());
        let Some(Admission { mode, scrollback }) = self.admission(&caller, key, mode) else {
            self.deny_socket(&caller, key);
            let _told = stream.write(b"[you may not watch this console]\r\n");
            return;
        };
        if !self.has_room(owner, &caller) {
            self.refuse_socket(&caller, key, "too many viewers");
            let _told = stream.write(b"[too many viewers]\r\n");
            return;
        }
        let Some(console) = self.served.consoles.get_mut(&owner) else {
            return;
        };
        let output = console.output();
        let position = if scrollback {
            output.scrollback()
        } else {
            output.end()
        };
        // Closed sessions go first, because their names are reused.
        let left = console.clients.take_closed();
        self.forget_closed(left);
        let visitor = Visitor::new(caller, None, names, &self.audit);
        let kept = self.store_session(owner, &stream, mode, position);
        self.admit(owner, stream, |stream| match kept {
            Some((name, queue)) => Session::stored(stream, visitor, mode, name, queue),
            None => Session::new(stream, visitor, Encoding::Plain, mode, position, Vec::new()),
        });
    }

    /// Removes the state of closed sessions.
    pub(super) fn forget_closed(&mut self, left: Vec<Closed>) {
        for left in left {
            self.ipc.owners.remove(&left.token);
            if let Some(name) = left.stored {
                self.persist.fd_store.remove(&name);
            }
        }
    }

    /// Stores a viewer with the service manager: returns its name and send queue.
    /// `None` if it cannot be stored.
    fn store_session(
        &mut self,
        owner: usize,
        stream: &UnixStream,
        mode: Mode,
        position: u64,
    ) -> Option<(String, SendQueue)> {
        if !self.persist.fd_store.is_possible() {
            return None;
        }
        let console = self.served.consoles.get(&owner)?;
        let taken: Vec<&str> = console.clients.stored_names().collect();
        let name = (0..u8::MAX)
            .take(SESSIONS_MAX)
            .map(|number| fd_store::name(Purpose::Session(mode, number), console.pty().label()))
            .find(|name| !taken.contains(&name.as_str()))?;
        let queue = SendQueue::new(position)
            .inspect_err(|error| {
                tracing::warn!("a viewer's connection will not survive a restart: {error}");
            })
            .ok()?;
        let fds = [stream.as_fd(), queue.as_fd()];
        self.persist
            .fd_store
            .store(&name, &fds)
            .then_some((name, queue))
    }

    /// Whether a console has room for one more viewer; places for root are reserved.
    pub(super) fn has_room(&mut self, owner: usize, caller: &Caller) -> bool {
        let (spare, all_spare) = if self.access.rules.is_master(caller) {
            (0, 0)
        } else {
            (SPARE, ALL_SPARE)
        };
        // Each console has two endpoints.
        let most = ALL_SESSIONS_MAX - all_spare + 2 * self.served.consoles.len();
        let full = self.ipc.owners.len() >= most;
        let console = self.served.consoles.get_mut(&owner);
        console.is_some_and(|console| !full && console.has_room(spare))
    }

    /// Attaches a viewer; returns its token.
    pub(super) fn admit(
        &mut self,
        owner: usize,
        mut stream: UnixStream,
        viewer: impl FnOnce(UnixStream) -> Session,
    ) -> usize {
        let token = take_token(&mut self.next_token);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, token, interest);
        match (registered, self.served.consoles.get_mut(&owner)) {
            (Ok(()), Some(console)) => {
                console.clients.admit(token.0, viewer(stream));
                self.ipc.owners.insert(token.0, owner);
                self.schedule.ready.push(owner);
                self.look_for_idle();
            }
            (Ok(()), None) => {}
            (Err(error), _) => tracing::warn!("a viewer cannot be attached: {error}"),
        }
        token.0
    }
}

/// The record of a console's sockets for the next daemon: the inodes of their
/// names, 0 for none.
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct EndpointRecord {
    read_write: u64,
    read_only: u64,
}

impl EndpointRecord {
    fn of(output: &OutputBuffer) -> Self {
        let noted = output.record(Record::Endpoints).unwrap_or_default();
        Self::read_from_bytes(&noted).unwrap_or_default()
    }
}

/// A viewer's connection and send queue, from its descriptors.
fn take_up(left: Vec<OwnedFd>) -> Option<(UnixStream, SendQueue)> {
    let (mut stream, mut queue) = (None, None);
    for fd in left {
        let stat = rustix::fs::fstat(&fd).ok()?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
            stream = Some(std::os::unix::net::UnixStream::from(fd));
        } else {
            queue = Some(SendQueue::resume(fd).ok()?);
        }
    }
    Some((UnixStream::from_std(stream?), queue?))
}
