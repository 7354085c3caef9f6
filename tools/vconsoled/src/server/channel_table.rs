// SPDX-License-Identifier: MIT
//! The channels among secondary consoles.

use std::collections::BTreeMap;
use std::io;

use mio::{Registry, Token};

use crate::channel::Channel;
use crate::guest::nodes::Key;

/// Channels.
#[derive(Default)]
pub(super) struct Channels {
    /// Channels by the token of their socket.
    pub(super) open: BTreeMap<usize, Channel>,
    pub(super) by_key: BTreeMap<Key, usize>,
    /// Channels by the token of their client.
    pub(super) clients: BTreeMap<usize, usize>,
}

impl Channels {
    /// The channel of a token: its socket's, or its client's.
    pub(super) fn token(&self, token: usize) -> Option<usize> {
        let channel = self.clients.get(&token).copied().unwrap_or(token);
        self.open.contains_key(&channel).then_some(channel)
    }

    /// Accepts clients at a channel's socket, at most `most`; returns whether
    /// more may wait.
    pub(super) fn accept(
        &mut self,
        token: usize,
        most: &mut usize,
        registry: &Registry,
        mut next: impl FnMut() -> Token,
    ) -> io::Result<bool> {
        let Self { open, clients, .. } = self;
        let Some(channel) = open.get_mut(&token) else {
            return Ok(false);
        };
        channel.accept(most, registry, || {
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
}
