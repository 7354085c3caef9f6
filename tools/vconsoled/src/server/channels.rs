// SPDX-License-Identifier: MIT
//! Secondary consoles: found in the backend's tree, brought together with the
//! guest's driver, served as an ordinary console or as a channel.
//!
//! The guest can change its half of xenstore as often as it likes, so each of
//! its consoles is looked at only so often, and complained of only so often.

use std::io;
use std::time::{Duration, Instant};

use mio::Token;
use xen_io::DomId;

use super::channel_table::Known;
use super::{Key, Server, take_token};
use crate::channel::Channel;
use crate::guest::nodes::{self, Slot};
use crate::guest::source::Source;
use crate::guest::xenbus::{self, Connection, Device, Reply, State};
use crate::ring::Link;

/// The token of the watch on the backends' tree.
pub(super) const BACKENDS: &str = "backends";

/// The least time between two looks at a console.
const PACE: Duration = Duration::from_millis(20);
/// The least time between two complaints about one.
const QUIET: Duration = Duration::from_secs(60);

impl Server {
    /// The consoles that a change in the backends' tree is about.
    pub(super) fn backends_changed(&mut self, path: &str) -> io::Result<Vec<Key>> {
        let root = nodes::backends();
        let below = path.strip_prefix(&root).unwrap_or_default();
        let mut parts = below.split('/').skip(1);
        let domid = parts.next().and_then(|part| part.parse().ok()).map(DomId);
        let devid = parts.next().and_then(|part| part.parse().ok());
        match (domid, devid, parts.next()) {
            (Some(domid), Some(devid), part) => {
                let own = part == Some("state") && self.is_own_state(domid, devid)?;
                let key = secondary(domid, devid).filter(|_| !own);
                Ok(key.into_iter().collect())
            }
            (Some(domid), None, _) => self.secondaries(domid),
            (None, ..) => {
                let domains: Vec<DomId> = self.guests.domains.iter().copied().collect();
                let mut keys = Vec::new();
                for domid in domains {
                    keys.extend(self.secondaries(domid)?);
                }
                Ok(keys)
            }
        }
    }

    /// Whether a backend's state is what we made it.
    fn is_own_state(&mut self, domid: DomId, devid: u32) -> io::Result<bool> {
        let key = (domid, Slot::Secondary(devid));
        let known = self.channels.known.get(&key);
        let Some(said) = known.and_then(|known| known.said) else {
            return Ok(false);
        };
        said.stands(&mut self.xen.store, domid, devid)
    }

    /// The secondary consoles that a domain has or had.
    pub(super) fn secondaries(&mut self, domid: DomId) -> io::Result<Vec<Key>> {
        let path = format!("{}/{domid}", nodes::backends());
        let names = self.xen.store.directory(&path)?.unwrap_or_default();
        let present = names
            .iter()
            .filter_map(|name| secondary(domid, name.parse().ok()?));
        let mut keys = self.channels.of_domain(domid);
        keys.extend(present);
        Ok(keys)
    }

    /// The watch on a frontend has fired.
    pub(super) fn frontend_written(&mut self, key: Key) {
        if let Some(known) = self.channels.known.get_mut(&key) {
            known.written |= known.watch_set;
            known.watch_set = true;
        }
    }

    /// Whether the console may be looked at now; if not, it will be later.
    pub(super) fn is_due(&mut self, key: Key, now: Instant) -> bool {
        let Some(known) = self.channels.known.get_mut(&key) else {
            return true;
        };
        if now < known.not_before {
            known.again = Some(known.not_before);
            return false;
        }
        known.again = None;
        known.not_before = now + PACE;
        true
    }

    /// Compares a secondary console with what xenstore says of it.
    pub(super) fn examine_secondary(&mut self, key: Key, devid: u32) {
        match self.bring_together(key, devid) {
            Ok(()) => drop(self.guests.failures.remove(&key)),
            Err(error) => self.fail(key, error.to_string()),
        }
    }

    /// Whether to say what is wrong with a console: if the guest can bring it
    /// about, not every time.
    pub(super) fn may_complain(&mut self, key: Key, now: Instant) -> bool {
        let Some(known) = self.channels.known.get_mut(&key) else {
            return true;
        };
        let quiet = known.complained.is_some_and(|at| now < at + QUIET);
        if !quiet {
            known.complained = Some(now);
        }
        !quiet
    }

    fn bring_together(&mut self, key: Key, devid: u32) -> io::Result<()> {
        let (domid, slot) = key;
        let Some(device) = Device::find(&mut self.xen.store, domid, devid)? else {
            return self.forget_secondary(key);
        };
        if !self.channels.known.contains_key(&key) {
            self.xen
                .store
                .watch(&slot.watched(domid), &format!("{domid}/{slot}"))?;
            let known = Known {
                not_before: Instant::now() + PACE,
                again: None,
                watch_set: false,
                written: false,
                said: None,
                complained: None,
            };
            self.channels.known.insert(key, known);
        }
        let known = self.channels.known.get_mut(&key);
        let written = known.is_some_and(|known| std::mem::take(&mut known.written));
        self.open_channel(key, &device)?;
        let frontend = xenbus::frontend_state(&mut self.xen.store, domid, devid)?;
        let state = match xenbus::reply(frontend, device.online) {
            Reply::Serve => {
                let source = xenbus::source(&mut self.xen.store, domid, devid)?;
                let offered = written && frontend == Some(State::Initialised);
                self.serve_secondary(key, source, offered)?;
                State::Connected
            }
            Reply::Rest(state) => {
                self.let_go(key);
                state
            }
        };
        if let Some(known) = self.channels.known.get_mut(&key) {
            known.said = Some(state);
        }
        device.answer(&mut self.xen.store, (domid, devid), state)
    }

    /// Sees to it that a channel has the socket that is described.
    fn open_channel(&mut self, key: Key, device: &Device) -> io::Result<()> {
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
        let name = self.domain_name(key.0);
        let channel = Channel::open(key, name, path, self.poll.registry(), token)?;
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

    /// Connects to the frontend's ring, unless that is done and the ring was
    /// not offered again.
    fn serve_secondary(&mut self, key: Key, source: Source, offered: bool) -> io::Result<()> {
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
            None => self.connect(key, source),
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

    /// Lets go of a secondary console's ring; a channel keeps its client.
    fn let_go(&mut self, key: Key) {
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
        // What is still in the ring goes to the client, as far as it takes it.
        let _last = channel.run_slice(self.xen.events.as_mut(), Instant::now());
        if let Some(link) = channel.disconnect() {
            self.served.by_port.remove(&link.port);
            // Already closed if the far end's domain is gone.
            let _closed = self.xen.events.unbind(link.port);
        }
        self.schedule.timers.remove(&token);
    }

    /// A channel failed: its ring is let go of.
    pub(super) fn lose_channel(&mut self, token: usize, why: &io::Error) {
        let Some(channel) = self.channels.open.get(&token) else {
            return;
        };
        let key = (channel.domid, channel.slot);
        self.unlink_channel(token);
        self.fail(key, format!("lost: {why}"));
    }

    fn close_channel(&mut self, key: Key) {
        let Some(token) = self.channels.by_key.remove(&key) else {
            return;
        };
        self.unlink_channel(token);
        self.channels.open.remove(&token);
        self.channels.clients.retain(|_, channel| *channel != token);
    }

    /// Lets go of a secondary console that the toolstack has removed, or
    /// whose domain has gone.
    pub(super) fn forget_secondary(&mut self, key: Key) -> io::Result<()> {
        let (domid, slot) = key;
        self.guests.failures.remove(&key);
        self.let_go(key);
        self.close_channel(key);
        if self.channels.known.remove(&key).is_some() {
            self.xen
                .store
                .unwatch(&slot.watched(domid), &format!("{domid}/{slot}"))?;
        }
        Ok(())
    }

    pub(super) fn forget_secondaries(&mut self, domid: DomId) -> io::Result<()> {
        for key in self.channels.of_domain(domid) {
            self.forget_secondary(key)?;
        }
        // Those that could not even be described.
        self.guests.failures.retain(|(of, _), _| *of != domid);
        Ok(())
    }

    /// Whether a console has a pty or a socket, with or without a ring.
    pub(super) fn is_served(&self, key: Key) -> bool {
        self.served.by_key.contains_key(&key) || self.channels.by_key.contains_key(&key)
    }

    /// Lets go of every channel, at the end.
    pub(super) fn close_channels(&mut self) {
        let open: Vec<Key> = self.channels.by_key.keys().copied().collect();
        for key in open {
            self.close_channel(key);
        }
    }

    /// A token of the poll that may be a channel's; whether it was.
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

fn secondary(domid: DomId, devid: u32) -> Option<Key> {
    // Number 0 is the domain's own console, which its own directory describes.
    (devid > 0).then_some((domid, Slot::Secondary(devid)))
}
