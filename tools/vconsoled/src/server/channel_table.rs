// SPDX-License-Identifier: MIT
//! What is known of secondary consoles, and the channels among them.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use mio::{Registry, Token};
use xen_io::DomId;

use super::Key;
use crate::channel::Channel;
use crate::guest::nodes::Slot;
use crate::guest::xenbus::State;

/// What is known of secondary consoles.
#[derive(Default)]
pub(super) struct Channels {
    pub(super) known: BTreeMap<Key, Known>,
    /// Those with a socket, by the token of that.
    pub(super) open: BTreeMap<usize, Channel>,
    pub(super) by_key: BTreeMap<Key, usize>,
    /// Channels by the token of their client.
    pub(super) clients: BTreeMap<usize, usize>,
}

/// A console that the toolstack described.
pub(super) struct Known {
    /// When it may be looked at again, and when it must be.
    pub(super) not_before: Instant,
    pub(super) again: Option<Instant>,
    /// The watch on the frontend has fired for the first time, which it does
    /// when it is set.
    pub(super) watch_set: bool,
    /// The frontend's state was written since the last look: if it offers a
    /// ring, that may be another one, even if its numbers are the same.
    pub(super) written: bool,
    /// The state that we gave last.
    pub(super) said: Option<State>,
    pub(super) complained: Option<Instant>,
}

impl Channels {
    /// The channel that a token is about: its socket's, or its client's.
    pub(super) fn token(&self, token: usize) -> Option<usize> {
        let channel = self.clients.get(&token).copied().unwrap_or(token);
        self.open.contains_key(&channel).then_some(channel)
    }

    /// Lets in who is at a channel's socket.
    pub(super) fn accept(
        &mut self,
        token: usize,
        registry: &Registry,
        mut next: impl FnMut() -> Token,
    ) -> io::Result<()> {
        let Self { open, clients, .. } = self;
        let Some(channel) = open.get_mut(&token) else {
            return Ok(());
        };
        channel.accept(registry, || {
            let client = next();
            clients.retain(|_, channel| *channel != token);
            clients.insert(client.0, token);
            client
        })
    }

    /// The tokens of the channels' sockets.
    pub(super) fn tokens(&self) -> impl Iterator<Item = usize> {
        self.open.keys().copied()
    }

    pub(super) fn get_mut(&mut self, token: usize) -> Option<&mut Channel> {
        self.open.get_mut(&token)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.open.values()
    }

    /// When the next console is due to be looked at.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.known.values().filter_map(|known| known.again).min()
    }

    /// The consoles that are due.
    pub(super) fn due(&self, now: Instant) -> Vec<Key> {
        let due = self.known.iter();
        due.filter(|(_, known)| known.again.is_some_and(|again| again <= now))
            .map(|(key, _)| *key)
            .collect()
    }

    /// The secondary consoles of a domain.
    pub(super) fn of_domain(&self, domid: DomId) -> Vec<Key> {
        let of = (domid, Slot::Secondary(0))..=(domid, Slot::Secondary(u32::MAX));
        self.known.range(of).map(|(key, _)| *key).collect()
    }
}
