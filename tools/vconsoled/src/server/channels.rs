// SPDX-License-Identifier: MIT
//! Serves secondary consoles as ordinary consoles or as channels, and answers
//! their frontends.
//!
//! A guest can make its consoles fail at any rate, so messages about each are
//! limited.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mio::Token;

use super::{Server, take_token};
use crate::channel::Channel;
use crate::guest::exchange::{Domain, Offer};
use crate::guest::nodes::{Key, Slot};
use crate::guest::source::Source;
use crate::guest::xenbus::{Connection, Device, State};
use crate::ring::Link;

/// Shortest time between two messages about one console.
const QUIET: Duration = Duration::from_secs(60);

impl Server {
    /// Whether to report a fault of a console: limited if the guest can cause it.
    pub(super) fn may_complain(&mut self, key: Key, now: Instant) -> bool {
        if !matches!(key.1, Slot::Secondary(_)) {
            return true;
        }
        let last = self.guests.complained.get(&key);
        let quiet = last.is_some_and(|at| now < *at + QUIET);
        if !quiet {
            self.guests.complained.insert(key, now);
        }
        !quiet
    }

    /// Serves a secondary console by its frontend's offer, and answers it.
    pub(super) fn serve_device(
        &mut self,
        key: Key,
        domain: &Domain,
        device: &Device,
        offer: Offer,
    ) -> io::Result<()> {
        self.open_channel(key, &domain.name, device)?;
        let state = match offer {
            Offer::Ring { source, again } => {
                self.serve_secondary(key, domain, source, again)?;
                State::Connected
            }
            Offer::Rest(state) => {
                self.let_go(key);
                state
            }
            Offer::Wrong(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        };
        self.guests.discovery.set_state(key, state);
        Ok(())
    }

    /// Makes a channel have the described socket.
    fn open_channel(&mut self, key: Key, name: &str, device: &Device) -> io::Result<()> {
        let open = self.channels.by_key.get(&key).copied();
        let current = open.and_then(|token| self.channels.open.get(&token));
        let Connection::Socket(path) = &device.connection else {
            self.close_channel(key);
            return Ok(());
        };
        if current.is_some_and(|channel| channel.path() == path) {
            return Ok(());
        }
        self.close_channel(key);
        if self.channels.iter().any(|channel| channel.path() == path) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("{}: another channel has it", path.display()),
            ));
        }
        let token = take_token(&mut self.next_token);
        let name = name.to_owned();
        let channel = Channel::open(key, name, path, self.poll.registry(), token)
            .map_err(|error| refusal(error, path, &self.config.process.folders))?;
        tracing::info!(
            "domain {} {}, {:?}: {}",
            key.0,
            key.1,
            device.name,
            path.display()
        );
        self.channels.by_key.insert(key, token.0);
        self.channels.open.insert(token.0, channel);
        Ok(())
    }

    /// Connects to the frontend's ring, unless it is connected and was not
    /// offered again.
    fn serve_secondary(
        &mut self,
        key: Key,
        domain: &Domain,
        source: Source,
        offered: bool,
    ) -> io::Result<()> {
        if let Some(token) = self.channels.by_key.get(&key).copied() {
            let served = self.channels.open.get(&token).and_then(Channel::link);
            if served.is_some_and(|link| link.source == source) && !offered {
                return Ok(());
            }
            self.let_go(key);
            return self.link_channel(token, source);
        }
        match self.served.by_key.get(&key).copied() {
            Some(token) => {
                let served = self
                    .served
                    .consoles
                    .get(&token)
                    .map(crate::console::Console::source);
                if served == Some(&source) && !offered {
                    return Ok(());
                }
                self.reconnect(token, source)
            }
            None => self.connect(key, domain, source),
        }
    }

    fn link_channel(&mut self, token: usize, source: Source) -> io::Result<()> {
        let Some(channel) = self.channels.open.get_mut(&token) else {
            return Ok(());
        };
        let (ring, port) = source.connect(
            channel.domid,
            self.xen.hypervisor.as_ref(),
            self.xen.events.as_mut(),
        )?;
        self.served.by_port.insert(port, token);
        self.schedule.ready.push(token);
        channel.connect(Link::new(source, ring, port), self.xen.events.as_mut())
    }

    /// Disconnects from a console's ring; a channel keeps its client.
    pub(super) fn let_go(&mut self, key: Key) {
        if self.served.by_key.contains_key(&key) {
            self.retire(key);
        }
        if let Some(token) = self.channels.by_key.get(&key).copied() {
            self.unlink_channel(token);
        }
    }

    fn unlink_channel(&mut self, token: usize) {
        let Some(channel) = self.channels.open.get_mut(&token) else {
            return;
        };
        // The rest of the ring goes to the client, as far as it takes it.
        let _last = channel.run_slice(self.xen.events.as_mut(), Instant::now());
        if let Some(link) = channel.disconnect() {
            self.served.by_port.remove(&link.port);
            // Already closed if the far end's domain is gone.
            let _closed = self.xen.events.unbind(link.port);
        }
        self.schedule.timers.remove(&token);
    }

    /// Handles the failure of a channel: its ring is disconnected.
    pub(super) fn lose_channel(&mut self, token: usize, why: &io::Error) {
        let Some(channel) = self.channels.open.get(&token) else {
            return;
        };
        let key = (channel.domid, channel.slot);
        self.unlink_channel(token);
        self.fail(key, format!("lost: {why}"));
    }

    pub(super) fn close_channel(&mut self, key: Key) {
        let Some(token) = self.channels.by_key.remove(&key) else {
            return;
        };
        self.unlink_channel(token);
        self.channels.open.remove(&token);
        self.channels.clients.retain(|_, channel| *channel != token);
    }

    /// Whether a console has a pty or a socket, with or without a ring.
    pub(super) fn is_served(&self, key: Key) -> bool {
        self.served.by_key.contains_key(&key) || self.channels.by_key.contains_key(&key)
    }

    /// Closes every channel, at the end.
    pub(super) fn close_channels(&mut self) {
        let open: Vec<Key> = self.channels.by_key.keys().copied().collect();
        for key in open {
            self.close_channel(key);
        }
    }

    /// Handles an event whose token may be a channel's; returns whether it was.
    pub(super) fn on_channel(&mut self, event: &mio::event::Event) -> bool {
        let Some(token) = self.channels.token(event.token().0) else {
            return false;
        };
        if event.token() == Token(token) {
            self.admit_to_channel(token);
        } else if let Some(channel) = self.channels.get_mut(token) {
            channel.on_stream(event.is_readable(), event.is_writable());
        }
        self.schedule.ready.push(token);
        true
    }
}

/// The error of a channel without a socket, with advice if only a restart helps:
/// access to other folders was given up.
fn refusal(error: io::Error, path: &Path, folders: &[PathBuf]) -> io::Error {
    let is_ours = folders.iter().any(|folder| path.starts_with(folder));
    if error.kind() != io::ErrorKind::PermissionDenied || is_ours {
        return error;
    }
    let what = format!(
        "{error}: add its folder to `folders` of the section [process] and restart vconsoled"
    );
    io::Error::new(error.kind(), what)
}
