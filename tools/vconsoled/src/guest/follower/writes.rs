// SPDX-License-Identifier: MIT
//! What is written to xenstore: ptys' names and backends' states.

use std::io;
use std::time::{Duration, Instant};

use xen_io::xenstore::domain_path;

use super::Follower;
use crate::guest::exchange::Wanted;
use crate::guest::nodes::{Key, Slot};
use crate::guest::xenbus::{self, State};

/// How long to wait before writing again what could not be written.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

impl Follower {
    /// Writes what the loop wants, and what is still to be written; whether
    /// that was anything.
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

    /// A write failed: that of one console, or the connection with all.
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

    /// Leaves for later what is not wanted otherwise by then.
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
        // A write would bring back the directory of a domain that has gone. Of
        // a directory of the guest's own nothing is read: by writing there the
        // guest could make the transaction fail.
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
            // Only our own name: somebody else may serve it by now.
            if store.read(node)?.is_some_and(|tty| tty == ours.as_bytes()) {
                // A node that is removed from the guest's own directory is
                // one that the guest can make.
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
