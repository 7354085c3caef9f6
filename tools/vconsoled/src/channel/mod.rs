// SPDX-License-Identifier: MIT
//! A channel: a secondary console whose host end is a socket of its own. It
//! carries a protocol rather than text, so there is one client at a time, no log
//! and no filter, and nothing is dropped: bytes stay in the ring, and the guest
//! waits, until the client takes them.
//!
//! The socket exists as long as the toolstack's nodes do; the ring comes and goes
//! with the guest's driver.

mod socket;

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec};
use vpl011::ring::layout::{IN_SIZE, OUT_SIZE};
use xen_io::{DomId, EventChannels};

use crate::guest::nodes::Slot;
use crate::ipc::listener;
use crate::ring::doorbell::Doorbell;
use crate::ring::{BUDGET, Counters, Link, Next};
use socket::Socket;

/// A served channel.
pub(crate) struct Channel {
    pub(crate) domid: DomId,
    pub(crate) slot: Slot,
    /// The domain's name.
    pub(crate) name: String,
    socket: Socket,
    client: Option<ChannelClient>,
    link: Option<Link>,
    doorbell: Doorbell,
    pub(crate) counters: Counters,
}

/// The connected client.
struct ChannelClient {
    stream: UnixStream,
    /// The stream may have input, or room for output.
    readable: bool,
    writable: bool,
}

impl Channel {
    /// Creates the socket at `path` and registers it.
    pub(crate) fn open(
        (domid, slot): (DomId, Slot),
        name: String,
        path: &Path,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut socket = Socket::bind(path)?;
        registry.register(socket.listener(), token, Interest::READABLE)?;
        Ok(Self {
            domid,
            slot,
            name,
            socket,
            client: None,
            link: None,
            doorbell: Doorbell::default(),
            counters: Counters::default(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.socket.path()
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    pub(crate) fn has_client(&self) -> bool {
        self.client.is_some()
    }

    /// Bytes in the ring: from the guest, and to it.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        self.link.as_ref().map_or((0, 0), |link| {
            let into = IN_SIZE.saturating_sub(link.ring.in_space());
            (link.ring.out_len(), into)
        })
    }

    pub(crate) fn resyncs(&self) -> u64 {
        self.counters.resyncs + self.link.as_ref().map_or(0, |link| link.ring.resyncs())
    }

    /// Connects a ring, and notifies the far end, which may be waiting.
    pub(crate) fn connect(&mut self, link: Link, events: &mut dyn EventChannels) -> io::Result<()> {
        let port = link.port;
        self.link = Some(link);
        self.counters.doorbells_out += 1;
        events.notify(port)
    }

    /// Disconnects the ring; the client stays, because the guest may come back.
    pub(crate) fn disconnect(&mut self) -> Option<Link> {
        let link = self.link.take()?;
        self.counters.resyncs += link.ring.resyncs();
        self.doorbell = Doorbell::default();
        Some(link)
    }

    /// Accepts the first client, and refuses others while it is connected, at
    /// most `most` at once; returns whether more may wait.
    pub(crate) fn accept(
        &mut self,
        most: &mut usize,
        registry: &Registry,
        mut token: impl FnMut() -> Token,
    ) -> io::Result<bool> {
        let (domid, slot, client) = (self.domid, self.slot, &mut self.client);
        listener::accept(self.socket.listener(), most, |mut stream| {
            if client.as_ref().is_some_and(|client| !client.is_gone()) {
                tracing::info!("domain {domid} {slot}: a second client was turned away");
                return;
            }
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut stream, token(), interest).is_ok() {
                *client = Some(ChannelClient {
                    stream,
                    readable: true,
                    writable: true,
                });
            }
        })
    }

    /// Handles readiness of the client's stream.
    pub(crate) fn on_stream(&mut self, readable: bool, writable: bool) {
        if let Some(client) = &mut self.client {
            client.readable |= readable;
            client.writable |= writable;
        }
    }

    /// Handles a notification of the port.
    pub(crate) fn on_event(&mut self) {
        self.doorbell.on_event();
        self.counters.doorbells_in += 1;
    }

    /// Moves available bytes, within a budget.
    pub(crate) fn run_slice(
        &mut self,
        events: &mut dyn EventChannels,
        now: Instant,
    ) -> io::Result<Next> {
        if self.client.as_ref().is_some_and(ChannelClient::is_gone) {
            self.client = None;
        }
        let Some(link) = &mut self.link else {
            return Ok(Next::Wait);
        };
        let (mut out, mut into) = (Moved::default(), Moved::default());
        match &mut self.client {
            Some(client) => {
                out = client.take_output(link);
                into = client.give_input(link);
            }
            // Invalid indices are resynchronised without a client too.
            None => out.notify = link.ring.peek_out(&mut []).notify,
        }
        self.counters.from_guest += out.bytes as u64;
        self.counters.to_guest += into.bytes as u64;
        if out.bytes + into.bytes > 0 {
            self.doorbell.was_useful();
        }
        if out.notify || into.notify {
            self.counters.doorbells_out += 1;
            events.notify(link.port)?;
        }
        if let Some(until) = self.doorbell.open(link.port, events, now)? {
            return Ok(Next::At(until));
        }
        Ok(if out.more || into.more {
            Next::Again
        } else {
            Next::Wait
        })
    }
}

/// The result of a slice in one direction.
#[derive(Default)]
struct Moved {
    bytes: usize,
    /// The far end must be notified.
    notify: bool,
    /// More bytes may be movable at once.
    more: bool,
}

impl ChannelClient {
    /// Whether the peer closed the stream completely. A peer that closed only its
    /// sending side still receives.
    fn is_gone(&self) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::OUT)];
        let polled = rustix::event::poll(&mut fds, Some(&Timespec::default()));
        let closed = PollFlags::HUP | PollFlags::ERR;
        polled.is_ok() && fds[0].revents().intersects(closed)
    }

    /// Writes the ring's output to the stream. Only written bytes are released,
    /// so nothing is lost.
    fn take_output(&mut self, link: &mut Link) -> Moved {
        let mut moved = Moved::default();
        let mut buffer = [0; OUT_SIZE];
        while self.writable && moved.bytes < BUDGET {
            let seen = link.ring.peek_out(&mut buffer);
            moved.notify |= seen.notify;
            if seen.bytes == 0 {
                return moved;
            }
            match self.stream.write(&buffer[..seen.bytes]) {
                Ok(length) => {
                    moved.bytes += length;
                    moved.notify |= link.ring.release_out(length);
                }
                // After an error other than a full stream, the stream is closed.
                Err(error) => self.writable = error.kind() == io::ErrorKind::Interrupted,
            }
        }
        moved.more = self.writable;
        moved
    }

    /// Copies input from the stream to the ring, as far as there is room.
    fn give_input(&mut self, link: &mut Link) -> Moved {
        let mut moved = Moved::default();
        let mut buffer = [0; IN_SIZE];
        while self.readable && moved.bytes < BUDGET {
            // An empty put checks for invalid indices.
            moved.notify |= link.ring.put_in(&[]).notify;
            let space = link.ring.in_space();
            if space == 0 {
                // The guest notifies when it has consumed some.
                return moved;
            }
            match self.stream.read(&mut buffer[..space]) {
                Ok(0) => self.readable = false,
                Ok(length) => {
                    let put = link.ring.put_in(&buffer[..length]);
                    moved.bytes += length;
                    moved.notify |= put.notify;
                }
                Err(error) => self.readable = error.kind() == io::ErrorKind::Interrupted,
            }
        }
        moved.more = self.readable;
        moved
    }
}
