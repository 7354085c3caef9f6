// SPDX-License-Identifier: MIT
//! Limits the work that clients can cause: connections and requests. Each
//! iteration of the loop does a bounded part of it, and the next one continues.
//! Connections that cannot be accepted because no descriptor is left are retried
//! by the clock, because the kernel reports them only once.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::{Ipc, Server, take_token};
use crate::ipc::listener::{Client, Clients};

/// Pause before the next attempt to accept.
const PAUSE: Duration = Duration::from_millis(500);

/// Most accepted connections, and answered requests, per iteration.
const ACCEPTS_A_TURN: usize = 16;
const ANSWERS_A_TURN: usize = 4;

/// A source of pending work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entrance {
    Control,
    Metrics,
    MetricsPort,
    /// An endpoint of a console: the tokens of both.
    Console(usize, usize),
    Channel(usize),
    /// A client with a request.
    Client(Token),
}

/// Pending work, and this iteration's budget for it.
#[derive(Default)]
pub(super) struct AcceptRetry {
    waiting: BTreeSet<Entrance>,
    accepts: usize,
    answers: usize,
    again: Option<Instant>,
    retrying: bool,
    said: bool,
}

impl AcceptRetry {
    /// When to retry.
    pub(super) fn next(&self) -> Option<Instant> {
        self.again
    }

    /// Whether the next iteration has pending work.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Accepts waiting clients at a socket with its own clients.
    fn accept<C: Client>(
        &mut self,
        entrance: Entrance,
        clients: &mut Option<Clients<C>>,
        registry: &Registry,
        next_token: &mut usize,
    ) {
        if let Some(clients) = clients {
            let token = || take_token(next_token);
            let attempt = clients.accept(&mut self.accepts, registry, token);
            self.handle(entrance, attempt);
        }
    }

    /// Handles the result of an attempt; a failure is reported once, until all
    /// attempts succeed.
    fn handle(&mut self, entrance: Entrance, attempt: io::Result<bool>) {
        match attempt {
            Ok(false) => {}
            Ok(true) => drop(self.waiting.insert(entrance)),
            Err(error) => {
                self.again = Some(Instant::now() + PAUSE);
                if !std::mem::replace(&mut self.said, true) {
                    tracing::warn!("connections cannot be accepted: {error}; they wait");
                }
            }
        }
    }
}

impl Server {
    /// Begins an iteration with the last one's pending work.
    pub(super) fn go_on_admitting(&mut self) {
        let retry = &mut self.ipc.accept_retry;
        (retry.accepts, retry.answers) = (ACCEPTS_A_TURN, ANSWERS_A_TURN);
        for entrance in std::mem::take(&mut retry.waiting) {
            match entrance {
                Entrance::Control => self.admit_to_control(),
                Entrance::Metrics => self.admit_to_metrics(),
                Entrance::MetricsPort => self.admit_to_metrics_port(),
                Entrance::Console(owner, endpoint) => self.admit_to_console(owner, endpoint),
                Entrance::Channel(token) => self.admit_to_channel(token),
                Entrance::Client(token) => self.serve_client(token),
            }
        }
        let retry = &mut self.ipc.accept_retry;
        if std::mem::take(&mut retry.retrying) && retry.again.is_none() {
            retry.said = false;
        }
    }

    /// Serves a client that has sent something, or can receive.
    pub(super) fn serve_client(&mut self, token: Token) {
        let asks_control = self.ipc.control.as_ref().is_some_and(|one| one.has(token));
        let asks_metrics = self.ipc.metrics.as_ref().is_some_and(|one| one.has(token));
        let ports = self.ipc.metrics_port.as_ref();
        let asks_port = ports.is_some_and(|one| one.has(token));
        if !asks_control && !asks_metrics && !asks_port {
            return;
        }
        if self.ipc.accept_retry.answers == 0 {
            self.ipc
                .accept_retry
                .waiting
                .insert(Entrance::Client(token));
            return;
        }
        self.ipc.accept_retry.answers -= 1;
        if let Some(mut control) = self.ipc.control.take() {
            let attach = control.serve(token, |request, caller| {
                self.handle_request(request, caller)
            });
            self.ipc.control = Some(control);
            if let Some((mut stream, line, caller)) = attach
                && self.poll.registry().deregister(&mut stream).is_ok()
            {
                self.attach(stream, &line, caller);
            }
        }
        if let Some(mut metrics) = self.ipc.metrics.take() {
            metrics.serve(token, || self.metrics_text());
            self.ipc.metrics = Some(metrics);
        }
        if let Some(mut metrics) = self.ipc.metrics_port.take() {
            metrics.serve(token, || self.metrics_text());
            self.ipc.metrics_port = Some(metrics);
        }
    }

    /// Accepts clients at the control socket once their requests can be answered,
    /// or have waited for long enough.
    pub(super) fn open_control(&mut self, now: Instant) {
        let waits = &mut self.ipc.control_waits;
        if waits.is_some_and(|until| self.guests.known || until <= now) {
            *waits = None;
            self.admit_to_control();
        }
    }

    /// Accepts clients at the control socket.
    pub(super) fn admit_to_control(&mut self) {
        if self.ipc.control_waits.is_some() {
            return;
        }
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        let Ipc {
            control,
            accept_retry,
            ..
        } = &mut self.ipc;
        accept_retry.accept(Entrance::Control, control, registry, next);
    }

    /// Accepts clients at the metrics socket.
    pub(super) fn admit_to_metrics(&mut self) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        let Ipc {
            metrics,
            accept_retry,
            ..
        } = &mut self.ipc;
        accept_retry.accept(Entrance::Metrics, metrics, registry, next);
    }

    /// Accepts clients at the metrics port.
    pub(super) fn admit_to_metrics_port(&mut self) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        let Ipc {
            metrics_port,
            accept_retry,
            ..
        } = &mut self.ipc;
        accept_retry.accept(Entrance::MetricsPort, metrics_port, registry, next);
    }

    /// Accepts viewers at an endpoint of a console.
    pub(super) fn admit_to_console(&mut self, owner: usize, endpoint: usize) {
        let Some(console) = self.served.consoles.get_mut(&owner) else {
            return;
        };
        let mut came = Vec::new();
        let retry = &mut self.ipc.accept_retry;
        let attempt = (console.clients).accept(endpoint, &mut retry.accepts, &mut came);
        retry.handle(Entrance::Console(owner, endpoint), attempt);
        for (stream, mode) in came {
            self.admit_plain(owner, stream, mode);
        }
    }

    /// Accepts a client at a channel's socket.
    pub(super) fn admit_to_channel(&mut self, token: usize) {
        let (registry, next) = (self.poll.registry(), &mut self.next_token);
        let retry = &mut self.ipc.accept_retry;
        let accepts = &mut retry.accepts;
        let attempt = (self.channels).accept(token, accepts, registry, || take_token(next));
        retry.handle(Entrance::Channel(token), attempt);
        self.schedule.ready.push(token);
    }

    /// Retries every listening socket.
    pub(super) fn retry_accept(&mut self, now: Instant) {
        let retry = &mut self.ipc.accept_retry;
        if retry.again.is_none_or(|again| now < again) {
            return;
        }
        (retry.again, retry.retrying) = (None, true);
        let own = [Entrance::Control, Entrance::Metrics, Entrance::MetricsPort];
        retry.waiting.extend(own);
        for (owner, console) in &self.served.consoles {
            let endpoints = console.clients.endpoint_tokens();
            let endpoints = endpoints.map(|endpoint| Entrance::Console(*owner, endpoint));
            retry.waiting.extend(endpoints);
        }
        let channels = self.channels.tokens().map(Entrance::Channel);
        retry.waiting.extend(channels);
    }
}
