// SPDX-License-Identifier: MIT
//! Connections that cannot be accepted, for want of a descriptor: the kernel
//! tells of them once only, so they are asked for again.

use std::io;
use std::time::{Duration, Instant};

use super::{Server, take_token};

/// How long they wait for the next attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether somebody may wait outside.
#[derive(Default)]
pub(super) struct AcceptRetry {
    again: Option<Instant>,
    said: bool,
}

impl AcceptRetry {
    /// When to ask for them again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.again
    }

    /// What came of an attempt; said once, until one succeeds for all.
    fn handle(&mut self, attempt: io::Result<()>) {
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
        if let Some(control) = &mut self.ipc.control {
            let attempt = control.accept(registry, || take_token(next));
            self.ipc.accept_retry.handle(attempt);
        }
    }

    /// Somebody is at the counters' socket.
    pub(super) fn admit_to_metrics(&mut self) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        if let Some(metrics) = &mut self.ipc.metrics {
            let attempt = metrics.accept(registry, || take_token(next));
            self.ipc.accept_retry.handle(attempt);
        }
    }

    /// Somebody is at an endpoint of a console.
    pub(super) fn admit_to_console(&mut self, owner: usize, endpoint: usize) {
        let Some(console) = self.served.consoles.get_mut(&owner) else {
            return;
        };
        let mut came = Vec::new();
        let attempt = console.clients.accept(endpoint, &mut came);
        self.ipc.accept_retry.handle(attempt);
        for (stream, mode) in came {
            self.admit_plain(owner, stream, mode);
        }
    }

    /// Somebody is at a channel's socket.
    pub(super) fn admit_to_channel(&mut self, token: usize) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        let attempt = self.channels.accept(token, registry, || take_token(next));
        self.ipc.accept_retry.handle(attempt);
    }

    /// Asks at every socket for those who had to wait.
    pub(super) fn retry_accept(&mut self, now: Instant) {
        if self.ipc.accept_retry.again.is_none_or(|again| now < again) {
            return;
        }
        self.ipc.accept_retry.again = None;
        self.admit_to_control();
        self.admit_to_metrics();
        let endpoints = |(owner, console): (&usize, &crate::console::Console)| {
            let endpoints = console.clients.endpoint_tokens();
            endpoints
                .map(|endpoint| (*owner, endpoint))
                .collect::<Vec<_>>()
        };
        let endpoints: Vec<_> = self.served.consoles.iter().flat_map(endpoints).collect();
        for (owner, endpoint) in endpoints {
            self.admit_to_console(owner, endpoint);
            self.schedule.ready.push(owner);
        }
        let channels: Vec<_> = self.channels.tokens().collect();
        for token in channels {
            self.admit_to_channel(token);
            self.schedule.ready.push(token);
        }
        if self.ipc.accept_retry.again.is_none() {
            self.ipc.accept_retry.said = false;
        }
    }
}
