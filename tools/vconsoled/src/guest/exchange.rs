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

/// What xenstore says.
#[derive(Debug)]
pub(crate) enum Report {
    /// There is a domain.
    Came(DomId),
    /// It is not there any more, nor are its consoles.
    Went(DomId),
    /// A domain's own console, and where its ring is.
    Console(Key, Domain, Source),
    /// A secondary console, and what its frontend offers.
    Device(Key, Domain, Device, Offer),
    /// There is no such console, or somebody else serves it.
    Nothing(Key),
    /// A console's nodes are invalid.
    Failed(Key, String),
    /// Everything asked for before `Discovery::settle` is done.
    Settled,
    /// The connection to xenstore failed: from now until [`Settled`](Self::Settled)
    /// more may have happened than is known.
    Lost,
}

/// A domain, as far as its consoles need it.
#[derive(Debug)]
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) uuid: String,
    /// Tells it from another one that had the same number.
    pub(crate) instance: String,
}

/// What a frontend wants.
#[derive(Debug)]
pub(crate) enum Offer {
    /// Its ring is to be served; it may be another one with the same numbers.
    Ring {
        /// Where it is.
        source: Source,
        /// It was offered anew.
        again: bool,
    },
    /// Nothing is to be served, and the backend is to be in that state.
    Rest(State),
    /// Its nodes are invalid.
    Wrong(String),
}

/// What the loop wants of xenstore.
#[derive(Default)]
pub(super) struct Wanted {
    /// The ptys to announce, or to withdraw.
    pub(super) ttys: BTreeMap<Key, Option<String>>,
    /// The states of backends.
    pub(super) states: BTreeMap<Key, State>,
    /// Consoles to look at again.
    pub(super) looks: BTreeSet<Key>,
    pub(super) settle: bool,
    /// Nothing more will be wanted.
    pub(super) end: bool,
}

impl Wanted {
    /// Whether there is nothing to write.
    pub(super) fn writes_nothing(&self) -> bool {
        self.ttys.is_empty() && self.states.is_empty()
    }
}

/// What both ends see.
pub(super) struct Shared {
    wanted: Mutex<Wanted>,
    /// Wakes the thread.
    bell: OwnedFd,
}

/// The thread's end.
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

    /// Readable when something is wanted.
    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Adds to what is wanted.
    pub(super) fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted());
        // A bell that is full has been rung.
        let _rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wanted; the end stays wanted.
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
        // A loop that has ended wants no reports.
        if self.reports.send(report).is_ok() {
            (self.wake)();
        }
    }
}
