// SPDX-License-Identifier: MIT
//! Clients who cannot be let in, for want of a descriptor: the kernel tells of
//! them once only, so they are asked for again.

use std::io;
use std::time::{Duration, Instant};

use super::{Server, take_token};

/// How long they wait for the next attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether somebody may wait outside.
#[derive(Default)]
pub(super) struct Newcomers {
    again: Option<Instant>,
    said: bool,
}

impl Newcomers {
    /// When to ask for them again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.again
    }

    /// What came of an attempt; said once, until one succeeds for all.
    fn heed(&mut self, attempt: io::Result<()>) {
        let Err(error) = attempt else { return };
        self.again = Some(Instant::now() + PAUSE);
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!("nobody can be let in: {error}; they wait");
        }
    }
}

impl Server {
    /// Somebody is at the control socket.
    pub(super) fn admit_to_control(&mut self) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        if let Some(control) = &mut self.control {
            let attempt = control.accept(registry, || take_token(next));
            self.newcomers.heed(attempt);
        }
    }

    /// Somebody is at the counters' socket.
    pub(super) fn admit_to_metrics(&mut self) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        if let Some(metrics) = &mut self.metrics {
            let attempt = metrics.accept(registry, || take_token(next));
            self.newcomers.heed(attempt);
        }
    }

    /// Somebody is at a door of a console.
    pub(super) fn admit_to_console(&mut self, owner: usize, door: usize) {
        let Some(console) = self.consoles.get_mut(&owner) else {
            return;
        };
        let mut came = Vec::new();
        let attempt = console.audience.accept(door, &mut came);
        self.newcomers.heed(attempt);
        for (stream, mode) in came {
            self.admit_plain(owner, stream, mode);
        }
    }

    /// Somebody is at a channel's socket.
    pub(super) fn admit_to_channel(&mut self, token: usize) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        let attempt = self.channels.accept(token, registry, || take_token(next));
        self.newcomers.heed(attempt);
    }

    /// Asks at every socket for those who had to wait.
    pub(super) fn admit_late(&mut self, now: Instant) {
        if self.newcomers.again.is_none_or(|again| now < again) {
            return;
        }
        self.newcomers.again = None;
        self.admit_to_control();
        self.admit_to_metrics();
        let doors = |(owner, console): (&usize, &crate::console::Console)| {
            let doors = console.audience.door_tokens();
            doors.map(|door| (*owner, door)).collect::<Vec<_>>()
        };
        let doors: Vec<_> = self.consoles.iter().flat_map(doors).collect();
        for (owner, door) in doors {
            self.admit_to_console(owner, door);
            self.ready.push(owner);
        }
        let channels: Vec<_> = self.channels.tokens().collect();
        for token in channels {
            self.admit_to_channel(token);
            self.ready.push(token);
        }
        if self.newcomers.again.is_none() {
            self.newcomers.said = false;
        }
    }
}
