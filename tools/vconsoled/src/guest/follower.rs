// SPDX-License-Identifier: MIT
//! Domains and consoles from xenstore, and writes to it.
//!
//! The guest can change its half of a secondary console at any rate, so each of
//! those is read at a limited rate. Errors of functions here are errors of the
//! connection; faults of one console are reported.

mod looks;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Instant;

use xen_io::DomId;
use xen_io::xenstore::Client;

use super::exchange::{Link, Report, Shared, Wanted};
use super::nodes::{self, Key, Slot};
use super::xenbus::{self, State};

/// The tokens of watches that are for no single console.
const INTRODUCED: &str = "introduced";
const RELEASED: &str = "released";
const BACKENDS: &str = "backends";

/// The state of xenstore as far as it is followed.
pub(super) struct Follower {
    store: Client,
    link: Link,
    domains: BTreeSet<DomId>,
    secondary: BTreeMap<Key, Secondary>,
    /// The pty names that were written.
    announced: BTreeMap<Key, String>,
    /// Failed writes, and when to retry them.
    unwritten: Option<(Instant, Wanted)>,
    /// The loop waits for [`Report::Settled`].
    settling: bool,
    /// All known consoles are to be read again.
    all_again: bool,
}

/// A secondary console that the toolstack described.
struct Secondary {
    /// When it may be read again, and when it must be.
    not_before: Instant,
    again: Option<Instant>,
    /// The watch on the frontend has fired once, as it does when it is set.
    watch_set: bool,
    /// The frontend's state was written since the last read: a ring that it
    /// offers may be another one, even if its numbers are the same.
    written: bool,
    /// The state that was written last.
    said: Option<State>,
}

impl Follower {
    pub(super) fn new(store: Client, link: Link) -> Self {
        Self {
            store,
            link,
            domains: BTreeSet::new(),
            secondary: BTreeMap::new(),
            announced: BTreeMap::new(),
            unwritten: None,
            settling: false,
            all_again: false,
        }
    }

    pub(super) fn store(&self) -> &Client {
        &self.store
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.link.shared
    }

    /// Sets the watches that find all changes.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        watch(&mut self.store, "@introduceDomain", INTRODUCED)?;
        watch(&mut self.store, "@releaseDomain", RELEASED)?;
        watch(&mut self.store, &nodes::backends(), BACKENDS)?;
        xenbus::offer(&mut self.store)
    }

    /// Whether an error is the connection's, not a console's.
    fn is_of_connection(&self, error: &io::Error) -> bool {
        self.store.is_lost() || error.kind() == io::ErrorKind::TimedOut
    }

    /// Reports that the connection failed.
    pub(super) fn lose(&self) {
        self.link.report(Report::Lost);
    }

    /// Continues with another connection.
    pub(super) fn resume(&mut self, store: Client) -> io::Result<()> {
        self.store = store;
        for secondary in self.secondary.values_mut() {
            secondary.watch_set = false;
        }
        let ttys = self.announced.clone().into_iter();
        let ttys = ttys.map(|(key, tty)| (key, Some(tty))).collect();
        let wanted = Wanted {
            ttys,
            ..Wanted::default()
        };
        self.postpone(wanted, Instant::now());
        self.restart()
    }

    /// Continues with the same connection after a late answer. Its content is
    /// unknown, so everything is read again.
    pub(super) fn go_on(&mut self) -> io::Result<()> {
        if self.store.is_lost() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.restart()
    }

    fn restart(&mut self) -> io::Result<()> {
        (self.all_again, self.settling) = (true, true);
        self.begin()?;
        for domid in &self.domains {
            watch_domain(&mut self.store, *domid)?;
        }
        for key in self.secondary.keys() {
            watch_console(&mut self.store, *key)?;
        }
        Ok(())
    }

    /// When to continue if no event comes.
    pub(super) fn next(&self) -> Option<Instant> {
        let looks = self.secondary.values().filter_map(|one| one.again);
        let writes = self.unwritten.as_ref().map(|(at, _)| *at);
        looks.chain(writes).min()
    }

    /// Handles xenstore's events and the loop's requests until none is left.
    pub(super) fn follow(&mut self) -> io::Result<()> {
        loop {
            let wanted = self.shared().take();
            self.settling |= wanted.settle;
            let mut looked = self.write(wanted)?;
            let mut changed = BTreeSet::new();
            let again = std::mem::take(&mut self.all_again);
            let (mut introduced, mut released) = (again, again);
            if again {
                let domains = self.domains.iter();
                let fixed = domains.flat_map(|domid| Slot::FIXED.map(|slot| (*domid, slot)));
                changed.extend(fixed.chain(self.secondary.keys().copied()));
            }
            while let Some(event) = self.store.next_event()? {
                if let Some(domid) = nodes::parse_name_token(&event.token) {
                    changed.extend(Slot::FIXED.map(|slot| (domid, slot)));
                    changed.extend(self.secondaries_of(domid));
                    continue;
                }
                match nodes::parse_key(&event.token) {
                    // Written by this daemon.
                    Some(_) if event.path.ends_with("/tty") => {}
                    Some(key) => {
                        self.frontend_written(key);
                        changed.insert(key);
                    }
                    None if event.token == BACKENDS => {
                        changed.extend(self.backends_changed(&event.path)?);
                    }
                    None if event.token == INTRODUCED => introduced = true,
                    None => released = true,
                }
            }
            if released {
                self.forget_gone()?;
            }
            if introduced {
                self.find_new()?;
            }
            looked |= introduced || released;
            let now = Instant::now();
            let due = self.secondary.iter();
            let due = due.filter(|(_, one)| one.again.is_some_and(|again| again <= now));
            changed.extend(due.map(|(key, _)| *key).collect::<Vec<_>>());
            for key in changed {
                if self.domains.contains(&key.0) && self.is_due(key, now) {
                    self.look(key)?;
                    looked = true;
                }
            }
            // If requests were made, events may have queued up meanwhile.
            // Otherwise stop: a guest that writes constantly must not keep this
            // loop running.
            if !looked {
                if std::mem::take(&mut self.settling) {
                    self.link.report(Report::Settled);
                }
                return Ok(());
            }
        }
    }

    /// Removes domains that are gone.
    fn forget_gone(&mut self) -> io::Result<()> {
        for domid in self.domains.clone() {
            if self.store.is_introduced(domid)? {
                continue;
            }
            self.domains.remove(&domid);
            for key in self.secondaries_of(domid) {
                self.forget_secondary(key)?;
            }
            for slot in Slot::FIXED {
                self.unwatch_console((domid, slot))?;
            }
            self.unwatch(&nodes::name_path(domid), &nodes::name_token(domid))?;
            self.link.report(Report::Went(domid));
        }
        Ok(())
    }

    /// Adds new domains.
    fn find_new(&mut self) -> io::Result<()> {
        let names = self.store.directory("/local/domain")?.unwrap_or_default();
        for name in names {
            let Some(domid) = name
                .parse()
                .ok()
                .filter(|id| (1..DomId::FIRST_RESERVED).contains(id))
            else {
                continue;
            };
            let domid = DomId(domid);
            if !self.domains.contains(&domid) && self.store.is_introduced(domid)? {
                self.domains.insert(domid);
                self.link.report(Report::Came(domid));
                // A watch fires at once, which causes its consoles to be read.
                watch_domain(&mut self.store, domid)?;
                for key in self.secondaries(domid)? {
                    self.look(key)?;
                }
            }
        }
        Ok(())
    }

    /// The consoles that a change below the backends' directory concerns.
    fn backends_changed(&mut self, path: &str) -> io::Result<Vec<Key>> {
        let root = nodes::backends();
        let below = path.strip_prefix(&root).unwrap_or_default();
        let mut parts = below.split('/').skip(1);
        let domid = parts.next().and_then(|part| part.parse().ok()).map(DomId);
        let devid = parts.next().and_then(|part| part.parse().ok());
        match (domid, devid, parts.next()) {
            (Some(domid), Some(devid), part) => {
                let own = part == Some("state") && self.is_own_state(domid, devid)?;
                let key = secondary(domid, devid).filter(|_| !own);
                Ok(key.into_iter().collect())
            }
            (Some(domid), None, _) => self.secondaries(domid),
            (None, ..) => {
                let mut keys = Vec::new();
                for domid in self.domains.clone() {
                    keys.extend(self.secondaries(domid)?);
                }
                Ok(keys)
            }
        }
    }

    /// Whether a backend's state is the one that was written here.
    fn is_own_state(&mut self, domid: DomId, devid: u32) -> io::Result<bool> {
        let known = self.secondary.get(&(domid, Slot::Secondary(devid)));
        let Some(said) = known.and_then(|known| known.said) else {
            return Ok(false);
        };
        said.stands(&mut self.store, domid, devid)
    }

    /// The secondary consoles that a domain has or had.
    fn secondaries(&mut self, domid: DomId) -> io::Result<Vec<Key>> {
        let path = format!("{}/{domid}", nodes::backends());
        let names = self.store.directory(&path)?.unwrap_or_default();
        let present = names
            .iter()
            .filter_map(|name| secondary(domid, name.parse().ok()?));
        let mut keys = self.secondaries_of(domid);
        keys.extend(present);
        Ok(keys)
    }

    fn secondaries_of(&self, domid: DomId) -> Vec<Key> {
        let of = (domid, Slot::Secondary(0))..=(domid, Slot::Secondary(u32::MAX));
        self.secondary.range(of).map(|(key, _)| *key).collect()
    }

    fn forget_secondary(&mut self, key: Key) -> io::Result<()> {
        if self.secondary.remove(&key).is_some() {
            self.unwatch_console(key)?;
        }
        Ok(())
    }

    fn unwatch_console(&mut self, (domid, slot): Key) -> io::Result<()> {
        self.unwatch(&slot.watched(domid), &format!("{domid}/{slot}"))
    }

    fn unwatch(&mut self, path: &str, token: &str) -> io::Result<()> {
        match self.store.unwatch(path, token) {
            Err(error) if self.is_of_connection(&error) => Err(error),
            // It went with its domain.
            _ => Ok(()),
        }
    }
}

/// Watches a domain's own consoles, and its name.
fn watch_domain(store: &mut Client, domid: DomId) -> io::Result<()> {
    for slot in Slot::FIXED {
        watch_console(store, (domid, slot))?;
    }
    watch(store, &nodes::name_path(domid), &nodes::name_token(domid))
}

fn watch_console(store: &mut Client, (domid, slot): Key) -> io::Result<()> {
    watch(store, &slot.watched(domid), &format!("{domid}/{slot}"))
}

fn watch(store: &mut Client, path: &str, token: &str) -> io::Result<()> {
    match store.watch(path, token) {
        // A request with a late answer set it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn secondary(domid: DomId, devid: u32) -> Option<Key> {
    // Number 0 is the domain's own console, which has its own directory.
    (devid > 0).then_some((domid, Slot::Secondary(devid)))
}
