// SPDX-License-Identifier: MIT
//! When the loop wakes up, and which consoles then get a service slice.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};

use super::Server;
use crate::console::Console;
use crate::console::xen_log::XenLog;
use crate::ring::Next;

/// Pending service slices.
#[derive(Default)]
pub(super) struct Schedule {
    /// Consoles and channels that need a slice; may have duplicates.
    pub(super) ready: Vec<usize>,
    /// Those of this iteration; kept to reuse its memory.
    running: Vec<usize>,
    pub(super) timers: HashMap<usize, Instant>,
}

impl Server {
    pub(super) fn wait(
        &mut self,
        happened: &mut Events,
        patience: Option<Duration>,
    ) -> io::Result<()> {
        let due = self.xen_log.as_ref().is_some_and(XenLog::is_due);
        let waiting = self.guests.reports_wait || self.ipc.accept_retry.is_waiting();
        let timeout = if self.schedule.ready.is_empty() && !due && !waiting {
            let retries = self.guests.failures.values().map(|failure| failure.again);
            let next = self.schedule.timers.values().copied();
            let next = next.chain(retries);
            let next = next.chain(self.ipc.accept_retry.next());
            let next = next.chain(self.ipc.control_waits);
            let next = next.chain(self.ipc.idle_check);
            let next = next.chain(self.audit.next());
            let next = next.chain(self.manager.next());
            let next = next.chain(self.watchdog.next()).min();
            let next = next.map(|at| at.saturating_duration_since(Instant::now()));
            next.into_iter().chain(patience).min()
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(happened, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn on_time(&mut self, now: Instant) {
        self.open_control(now);
        self.retry_accept(now);
        self.close_idle(now);
        self.audit.on_time(now);
        self.schedule.timers.retain(|token, at| {
            if *at <= now {
                self.schedule.ready.push(*token);
            }
            *at > now
        });
        self.retry_failures(now);
    }

    /// Runs one slice of every ready console.
    pub(super) fn run_slices(&mut self) {
        let mut running = std::mem::take(&mut self.schedule.running);
        running.append(&mut self.schedule.ready);
        running.sort_unstable();
        running.dedup();
        let now = Instant::now();
        for token in running.drain(..) {
            let events = self.xen.events.as_mut();
            let turned = if let Some(console) = self.served.consoles.get_mut(&token) {
                let turned = console.run_slice(events, now);
                let turned = turned.and_then(|next| {
                    watch_for_room(self.poll.registry(), token, console)?;
                    Ok(next)
                });
                let left = console.clients.take_closed();
                self.forget_closed(left);
                turned
            } else if let Some(channel) = self.channels.get_mut(token) {
                channel.run_slice(events, now)
            } else {
                continue;
            };
            match turned {
                Ok(Next::Wait) => {}
                Ok(Next::Again) => self.schedule.ready.push(token),
                Ok(Next::At(at)) => {
                    self.schedule.timers.insert(token, at);
                }
                Err(error) => self.lose(token, &error),
            }
        }
        self.schedule.running = running;
    }
}

/// Polls for room in a console's pty only while output waits for it: a fast
/// viewer makes room with each read.
fn watch_for_room(registry: &Registry, token: usize, console: &mut Console) -> io::Result<()> {
    let interest = match console.asks_for_room() {
        Some(true) => Interest::READABLE | Interest::WRITABLE,
        Some(false) => Interest::READABLE,
        None => return Ok(()),
    };
    let raw = console.pty().as_fd().as_raw_fd();
    registry.reregister(&mut SourceFd(&raw), Token(token), interest)
}
