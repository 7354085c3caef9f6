// SPDX-License-Identifier: MIT
//! Which domains and consoles there are, by what xenstore says.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use xen_io::DomId;

use super::channels::BACKENDS;
use super::{Key, Server};
use crate::console::Console;
use crate::guest::nodes::Slot;
use crate::guest::source::Source;

/// The tokens of the watches on domains coming and going. They are told apart
/// because to find out who has gone every domain is asked about.
pub(super) const INTRODUCED: &str = "introduced";
pub(super) const RELEASED: &str = "released";

/// How long to wait before connecting again after a failure: at first, and at
/// most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// A console that could not be connected.
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) again: Instant,
    pause: Duration,
}

impl Server {
    /// Does what xenstore's events ask for, until there is nothing to do.
    pub(super) fn follow_store(&mut self) -> io::Result<()> {
        loop {
            let mut changed = BTreeSet::new();
            let (mut introduced, mut went) = (false, false);
            while let Some(event) = self.xen.store.next_event()? {
                match parse_token(&event.token) {
                    // Our own doing.
                    Some(_) if event.path.ends_with("/tty") => {}
                    Some(key) => {
                        self.frontend_written(key);
                        changed.insert(key);
                    }
                    None if event.token == BACKENDS => {
                        changed.extend(self.backends_changed(&event.path)?);
                    }
                    None if event.token == INTRODUCED => introduced = true,
                    None => went = true,
                }
            }
            if went {
                self.forget_gone()?;
            }
            if introduced {
                self.find_new()?;
            }
            let now = Instant::now();
            let mut looked = introduced || went;
            for key in changed {
                if self.guests.domains.contains(&key.0) && self.is_due(key, now) {
                    self.examine(key);
                    looked = true;
                }
            }
            // Otherwise no request was made during which events could queue up,
            // and a guest must not keep us here by writing all the time.
            if !looked {
                return Ok(());
            }
        }
    }

    /// Lets go of domains that went.
    fn forget_gone(&mut self) -> io::Result<()> {
        let known: Vec<DomId> = self.guests.domains.iter().copied().collect();
        for domid in known {
            if !self.xen.store.is_introduced(domid)? {
                self.forget(domid)?;
            }
        }
        Ok(())
    }

    /// Takes up domains that came.
    fn find_new(&mut self) -> io::Result<()> {
        for name in self
            .xen
            .store
            .directory("/local/domain")?
            .unwrap_or_default()
        {
            let Some(domid) = name
                .parse()
                .ok()
                .filter(|id| (1..DomId::FIRST_RESERVED).contains(id))
            else {
                continue;
            };
            let domid = DomId(domid);
            if !self.guests.domains.contains(&domid) && self.xen.store.is_introduced(domid)? {
                tracing::info!("domain {domid} came");
                self.guests.domains.insert(domid);
                // A watch fires at once, which is when its consoles are
                // looked up.
                for slot in Slot::FIXED {
                    self.xen
                        .store
                        .watch(&slot.watched(domid), &format!("{domid}/{slot}"))?;
                }
                for key in self.secondaries(domid)? {
                    self.examine(key);
                }
            }
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, domid: DomId) -> io::Result<()> {
        tracing::info!("domain {domid} went");
        self.guests.domains.remove(&domid);
        self.forget_secondaries(domid)?;
        for slot in Slot::FIXED {
            self.guests.failures.remove(&(domid, slot));
            self.retire((domid, slot));
            self.xen
                .store
                .unwatch(&slot.watched(domid), &format!("{domid}/{slot}"))?;
        }
        Ok(())
    }

    /// Compares a console with what xenstore says of it.
    pub(super) fn examine(&mut self, key: Key) {
        let (domid, slot) = key;
        if let Slot::Secondary(devid) = slot {
            return self.examine_secondary(key, devid);
        }
        let token = self.served.by_key.get(&key).copied();
        let source = match Source::find(&mut self.xen.store, domid, slot) {
            Ok(Some(source)) => source,
            Ok(None) => {
                self.guests.failures.remove(&key);
                if token.is_some() {
                    self.retire(key);
                }
                return;
            }
            // What is served already goes on as it is.
            Err(error) => return self.fail(key, error.to_string()),
        };
        let served = token.and_then(|token| self.served.consoles.get(&token));
        if served.map(Console::source) == Some(&source) {
            self.guests.failures.remove(&key);
            return;
        }
        let done = match token {
            Some(token) => self.reconnect(token, source),
            None => self.connect(key, source),
        };
        match done {
            Ok(()) => drop(self.guests.failures.remove(&key)),
            Err(error) => self.fail(key, error.to_string()),
        }
    }

    /// Notes a failure, says so once, and tries again later.
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
}

/// The console that a watch's token names.
pub(super) fn parse_token(token: &str) -> Option<Key> {
    let (domid, slot) = token.split_once('/')?;
    Some((DomId(domid.parse().ok()?), slot.parse().ok()?))
}
