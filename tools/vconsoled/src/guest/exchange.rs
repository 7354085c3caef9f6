// SPDX-License-Identifier: MIT
//! Messages between the event loop and the thread that follows xenstore.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::EventfdFlags;
use xen_io::DomId;

use super::nodes::Key;
use super::source::Source;
use super::xenbus::{Device, State};

/// A report from xenstore.
#[derive(Debug)]
pub(crate) enum Report {
    /// A domain exists.
    Came(DomId),
    /// A domain and its consoles are gone.
    Went(DomId),
    /// A domain's own console, and its ring.
    Console(Key, Domain, Source),
    /// A secondary console, and its frontend's offer.
    Device(Key, Domain, Device, Offer),
    /// There is no such console, or another backend serves it.
    Nothing(Key),
    /// A console's nodes are invalid.
    Failed(Key, String),
    /// All requests before `Discovery::settle` are done.
    Settled,
    /// The connection to xenstore failed: until [`Settled`](Self::Settled),
    /// changes may be missing.
    Lost,
}

/// The data of a domain that its consoles need.
#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// Distinguishes domains that had the same number.
    pub(crate) instance: String,
}

/// A frontend's offer.
#[derive(Debug)]
pub(crate) enum Offer {
    /// Its ring is to be served; it may be another ring with the same numbers.
    Ring {
        /// The ring's place.
        source: Source,
        /// The ring was offered again.
        again: bool,
    },
    /// Nothing is to be served, and the backend is to take that state.
    Rest(State),
    /// Its nodes are invalid.
    Wrong(String),
}

/// The loop's requests.
#[derive(Default)]
pub(super) struct Wanted {
    /// Ptys to announce, or to withdraw.
    pub(super) ttys: BTreeMap<Key, Option<String>>,
    /// States of backends to write.
    pub(super) states: BTreeMap<Key, State>,
    /// Consoles to read again.
    pub(super) looks: BTreeSet<Key>,
    pub(super) settle: bool,
    /// The thread is to end.
    pub(super) end: bool,
}

impl Wanted {
    /// Whether there is nothing to write.
    pub(super) fn writes_nothing(&self) -> bool {
        self.ttys.is_empty() && self.states.is_empty()
    }
}

/// The data that both ends share.
pub(super) struct Shared {
    wanted: Mutex<Wanted>,
    /// Wakes the thread.
    bell: OwnedFd,
}

/// The thread's end of the channel.
pub(super) struct Link {
    pub(super) shared: Arc<Shared>,
    reports: SyncSender<Report>,
    wake: Box<dyn Fn() + Send>,
}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self {
            wanted: Mutex::default(),
            bell: rustix::event::eventfd(0, flags)?,
        })
    }

    /// Readable when there are requests.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Adds a request.
    pub(super) fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted());
        // A full counter wakes the thread too.
        let _rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all requests; the request to end stays.
    pub(super) fn take(&self) -> Wanted {
        let mut bytes = [0; 8];
        let _quiet = rustix::io::read(&self.bell, &mut bytes);
        let mut wanted = self.wanted();
        let end = wanted.end;
        std::mem::replace(
            &mut *wanted,
            Wanted {
                end,
                ..Wanted::default()
            },
        )
    }

    pub(super) fn is_ending(&self) -> bool {
        self.wanted().end
    }
}

impl Link {
    pub(super) fn new(
        shared: Arc<Shared>,
        reports: SyncSender<Report>,
        wake: Box<dyn Fn() + Send>,
    ) -> Self {
        Self {
            shared,
            reports,
            wake,
        }
    }

    pub(super) fn report(&self, report: Report) {
        // A loop that has ended needs no reports.
        if self.reports.send(report).is_ok() {
            (self.wake)();
        }
    }
}
