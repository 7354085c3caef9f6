// SPDX-License-Identifier: MIT
//! Acts on domains and consoles that discovery reports.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use xen_io::DomId;

use super::Server;
use crate::console::Console;
use crate::guest::exchange::{Domain, Report};
use crate::guest::nodes::{Key, Slot};
use crate::guest::source::Source;

/// Pause before connecting again after a failure: at first, and at most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Reports handled in one iteration of the loop.
const REPORTS_A_TURN: usize = 16;

/// A console that could not be connected.
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) again: Instant,
    pause: Duration,
}

impl Server {
    /// Handles some of discovery's reports.
    pub(super) fn follow_discovery(&mut self) {
        if !self.guests.reports_wait {
            return;
        }
        self.handle_reports();
        if self.begun && self.forget_left() {
            self.sweep_endpoints();
        }
    }

    fn handle_reports(&mut self) {
        for _ in 0..REPORTS_A_TURN {
            let Some(report) = self.guests.discovery.take() else {
                self.guests.reports_wait = false;
                return;
            };
            match report {
                Report::Came(domid) => {
                    tracing::info!("domain {domid} came");
                    self.guests.domains.insert(domid);
                }
                Report::Went(domid) => self.forget(domid),
                Report::Console(key, domain, source) => {
                    self.follow_identity(key.0, &domain);
                    let done = self.serve_console(key, &domain, source);
                    self.attempted(key, done);
                }
                Report::Device(key, domain, device, offer) => {
                    self.follow_identity(key.0, &domain);
                    let done = self.serve_device(key, &domain, &device, offer);
                    self.attempted(key, done);
                }
                Report::Nothing(key) => self.forget_console(key),
                // A served console continues unchanged.
                Report::Failed(key, why) => self.fail(key, why),
                Report::Settled => (self.guests.settled, self.guests.known) = (true, true),
                Report::Lost => self.guests.known = false,
            }
        }
    }

    fn attempted(&mut self, key: Key, done: io::Result<()>) {
        match done {
            Ok(()) => drop(self.guests.failures.remove(&key)),
            Err(error) => self.fail(key, error.to_string()),
        }
    }

    /// Handles the end of a console.
    pub(super) fn forget_console(&mut self, key: Key) {
        self.guests.failures.remove(&key);
        self.guests.complained.remove(&key);
        self.let_go(key);
        self.close_channel(key);
    }

    fn forget(&mut self, domid: DomId) {
        tracing::info!("domain {domid} went");
        self.guests.domains.remove(&domid);
        self.guests.identities.remove(&domid);
        let served = self.served.by_key.keys();
        let keys: BTreeSet<Key> = served
            .chain(self.channels.by_key.keys())
            .filter(|(of, _)| *of == domid)
            .copied()
            .collect();
        for slot in Slot::FIXED {
            if !keys.contains(&(domid, slot)) {
                // State that the last daemon left.
                self.retire((domid, slot));
            }
        }
        for key in keys {
            self.forget_console(key);
        }
        // Consoles that were never connected.
        self.guests.failures.retain(|(of, _), _| *of != domid);
        self.guests.complained.retain(|(of, _), _| *of != domid);
    }

    /// Serves a domain's own console at its current ring.
    fn serve_console(&mut self, key: Key, domain: &Domain, source: Source) -> io::Result<()> {
        let token = self.served.by_key.get(&key).copied();
        let served = token.and_then(|token| self.served.consoles.get(&token));
        if served.map(Console::source) == Some(&source) {
            return Ok(());
        }
        match token {
            Some(token) => self.reconnect(token, source),
            None => self.connect(key, domain, source),
        }
    }

    /// Records a failure, reports it once, and schedules a retry.
    pub(super) fn fail(&mut self, key: Key, why: String) {
        let (domid, slot) = key;
        let known = self.guests.failures.remove(&key);
        let news = known.as_ref().is_none_or(|known| known.why != why);
        if news && self.may_complain(key, Instant::now()) {
            tracing::warn!("domain {domid} {slot}: {why}");
        }
        let pause = known.map_or(RETRY_FIRST, |known| (known.pause * 2).min(RETRY_LAST));
        self.guests.failures.insert(
            key,
            Failure {
                why,
                again: Instant::now() + pause,
                pause,
            },
        );
    }

    /// Requests another read of failed consoles when it is time.
    pub(super) fn retry_failures(&mut self, now: Instant) {
        for (key, failure) in &mut self.guests.failures {
            if failure.again <= now {
                // The next report leads to the next attempt.
                failure.again = now + RETRY_LAST;
                self.guests.discovery.look(*key);
            }
        }
    }
}
