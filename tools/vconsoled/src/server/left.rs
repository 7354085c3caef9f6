// SPDX-License-Identifier: MIT
//! State that the last daemon left, until its console is connected. If the first
//! connection of a console fails, its state is kept for the next attempts, until
//! the console is served or its domain is gone.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use xen_io::DomId;

use super::Server;
use crate::console::Console;
use crate::guest::nodes::Key;
use crate::input::journal::InputJournal;
use crate::persist::fd_store::FdStore;

/// The service manager's names for input journals: one is in use; the others have
/// input for consoles that are not served yet.
const JOURNALS: [&str; 4] = ["typed", "typed1", "typed2", "typed3"];

/// Input that has not reached a ring.
pub(super) struct Typed {
    journal: Arc<InputJournal>,
    left: Vec<(&'static str, InputJournal)>,
}

impl Typed {
    /// Opens a journal, if it can be stored, and takes those of the last daemon.
    pub(super) fn open(fd_store: &mut FdStore) -> Option<Self> {
        if !fd_store.is_possible() {
            return None;
        }
        let (mut empty, mut left) = (None, Vec::new());
        let mut free = Vec::new();
        for name in JOURNALS {
            let fds = fd_store.take(name);
            let found = (!fds.is_empty()).then(|| InputJournal::resume(fds));
            match found {
                Some(Ok(journal)) if !journal.is_empty() => left.push((name, journal)),
                Some(Ok(journal)) if empty.is_none() => empty = Some(journal),
                found => {
                    if let Some(Err(error)) = found {
                        tracing::warn!("the last daemon's state is not used: {error}");
                    }
                    fd_store.remove(name);
                    free.push(name);
                }
            }
        }
        let journal = match empty {
            Some(journal) => journal,
            None => new(fd_store, free.first().copied(), &mut left)
                .inspect_err(|error| tracing::warn!("typed input may be lost: {error}"))
                .ok()?,
        };
        Some(Self {
            journal: Arc::new(journal),
            left,
        })
    }

    /// The journal in use.
    pub(super) fn journal(&self) -> &Arc<InputJournal> {
        &self.journal
    }

    /// Gives a console the input that is left for it.
    pub(super) fn take_up(&mut self, fd_store: &mut FdStore, console: &mut Console) {
        self.left.retain(|(name, left)| {
            let stays = match console.take_up_input(left) {
                Ok(was_its) => !was_its,
                Err(error) => {
                    tracing::warn!("the input typed last is lost: {error}");
                    false
                }
            };
            if !stays {
                fd_store.remove(name);
            }
            stays
        });
    }

    /// Drops all left input.
    fn forget(&mut self, fd_store: &mut FdStore) {
        for (name, _) in self.left.drain(..) {
            fd_store.remove(name);
        }
    }
}

/// A new journal, under that name or in place of one that is left.
fn new(
    fd_store: &mut FdStore,
    name: Option<&'static str>,
    left: &mut Vec<(&'static str, InputJournal)>,
) -> io::Result<InputJournal> {
    let name = name.unwrap_or_else(|| {
        tracing::warn!("input typed at a console that is no longer served is lost");
        let (name, _) = left.remove(0);
        fd_store.remove(name);
        name
    });
    let journal = InputJournal::new()?;
    fd_store.store(name, &journal.fds());
    Ok(journal)
}

impl Server {
    /// Drops what is left for consoles that are served or never will be; returns
    /// whether there were descriptors.
    pub(super) fn forget_left(&mut self) -> bool {
        let persist = &self.persist;
        let typed = persist.typed.as_ref();
        if !persist.fd_store.is_left() && typed.is_none_or(|typed| typed.left.is_empty()) {
            return false;
        }
        let awaited: BTreeSet<DomId> = self.awaited().map(|(domid, _)| domid).collect();
        let persist = &mut self.persist;
        if let Some(typed) = persist.typed.as_mut().filter(|_| awaited.is_empty()) {
            typed.forget(&mut persist.fd_store);
        }
        persist
            .fd_store
            .remove_rest(|domid| awaited.contains(&domid))
    }

    /// Consoles that exist and could not be connected yet.
    fn awaited(&self) -> impl Iterator<Item = Key> {
        let failed = self.guests.failures.keys().copied();
        failed.filter(|key| !self.is_served(*key))
    }

    /// Those of them whose sockets the service manager stores.
    pub(super) fn awaited_with_sockets(&self) -> impl Iterator<Item = Key> {
        let fd_store = &self.persist.fd_store;
        self.awaited()
            .filter(|(domid, _)| fd_store.is_left_of(*domid))
    }
}
