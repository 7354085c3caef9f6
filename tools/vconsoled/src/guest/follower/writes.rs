// SPDX-License-Identifier: MIT
//! Writes to xenstore: ptys' names and backends' states.

use std::io;
use std::time::{Duration, Instant};

use xen_io::xenstore::domain_path;

use super::Follower;
use crate::guest::exchange::Wanted;
use crate::guest::nodes::{Key, Slot};
use crate::guest::xenbus::{self, State};

/// Pause before retrying a failed write.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

impl Follower {
    /// Writes what the loop requests, and what is due for a retry; returns
    /// whether there was anything.
    pub(super) fn write(&mut self, mut wanted: Wanted) -> io::Result<bool> {
        let now = Instant::now();
        if let Some((_, older)) = self.unwritten.take_if(|(again, _)| *again <= now) {
            for (key, tty) in older.ttys {
                wanted.ttys.entry(key).or_insert(tty);
            }
            for (key, state) in older.states {
                wanted.states.entry(key).or_insert(state);
            }
        }
        let something = !wanted.writes_nothing();
        let mut failed = Wanted::default();
        while let Some((key, tty)) = wanted.ttys.pop_first() {
            if let Err(error) = self.write_tty(key, tty.as_deref()) {
                failed.ttys.insert(key, tty);
                self.not_written(key, &error, &mut wanted, &mut failed)?;
            }
        }
        while let Some((key, state)) = wanted.states.pop_first() {
            if let Err(error) = self.write_state(key, state) {
                failed.states.insert(key, state);
                self.not_written(key, &error, &mut wanted, &mut failed)?;
            }
        }
        if !failed.writes_nothing() {
            self.postpone(failed, now + WRITE_PAUSE);
        }
        let now = Instant::now();
        for key in wanted.looks {
            if self.domains.contains(&key.0) && self.is_due(key, now) {
                self.look(key)?;
            }
        }
        Ok(something)
    }

    /// Handles a failed write: of one console, or of the connection and so of all.
    fn not_written(
        &mut self,
        (domid, slot): Key,
        error: &io::Error,
        wanted: &mut Wanted,
        failed: &mut Wanted,
    ) -> io::Result<()> {
        if !self.is_of_connection(error) {
            tracing::warn!("domain {domid} {slot}: xenstore: {error}");
            return Ok(());
        }
        failed.ttys.append(&mut wanted.ttys);
        failed.states.append(&mut wanted.states);
        self.postpone(std::mem::take(failed), Instant::now());
        Err(io::Error::new(error.kind(), error.to_string()))
    }

    /// Schedules writes for later, unless newer ones replace them.
    pub(super) fn postpone(&mut self, wanted: Wanted, until: Instant) {
        let (at, waiting) = self.unwritten.get_or_insert((until, Wanted::default()));
        *at = until.min(*at);
        for (key, tty) in wanted.ttys {
            waiting.ttys.entry(key).or_insert(tty);
        }
        waiting.states.extend(wanted.states);
    }

    fn write_tty(&mut self, key: Key, tty: Option<&str>) -> io::Result<()> {
        let (domid, slot) = key;
        let path = slot.path(domid);
        let node = format!("{path}/tty");
        let Some(tty) = tty else {
            return self.withdraw(key, &node);
        };
        // A write would recreate the directory of a domain that has gone. Nothing
        // in the guest's own directory is read: the guest could write there and
        // so make the transaction fail.
        let guard = match slot {
            Slot::Pv | Slot::Vuart => path,
            Slot::Secondary(_) => domain_path(domid),
        };
        let there = self.store.transaction(|store| {
            if store.directory(&guard)?.is_none() {
                return Ok(false);
            }
            match slot {
                Slot::Secondary(devid) => xenbus::announce(store, domid, devid, tty)?,
                Slot::Pv | Slot::Vuart => store.write(&node, tty)?,
            }
            Ok(true)
        })?;
        if there {
            self.announced.insert(key, tty.to_owned());
        }
        Ok(())
    }

    fn withdraw(&mut self, key: Key, node: &str) -> io::Result<()> {
        let (domid, slot) = key;
        let Some(ours) = self.announced.get(&key) else {
            return Ok(());
        };
        self.store.transaction(|store| {
            // Only this daemon's name: another backend may serve it now.
            if store.read(node)?.is_some_and(|tty| tty == ours.as_bytes()) {
                // If a node in the guest's own directory is removed, the guest
                // can create it.
                match slot {
                    Slot::Secondary(devid) => xenbus::announce(store, domid, devid, "")?,
                    Slot::Pv | Slot::Vuart => store.remove(node)?,
                }
            }
            Ok(())
        })?;
        self.announced.remove(&key);
        Ok(())
    }

    fn write_state(&mut self, key: Key, state: State) -> io::Result<()> {
        let Slot::Secondary(devid) = key.1 else {
            return Ok(());
        };
        if let Some(secondary) = self.secondary.get_mut(&key) {
            secondary.said = Some(state);
        }
        state.give(&mut self.store, key.0, devid)
    }
}
