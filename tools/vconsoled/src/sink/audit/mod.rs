// SPDX-License-Identifier: MIT
//! The audit: who attached to which console, when, and why the session ended;
//! refusals, breaks and messages. It goes to the journal and to a file, by the
//! configuration, and with `-v` to the daemon's messages. Input is not recorded.
//! The number of events per user is limited ([`limit`]).
//!
//! A thread for each of the two takes events from a bounded queue, so a stalled
//! disk does not delay guests. Events that do not fit are counted, and an event
//! `lost` in their place has the number.

mod event;
mod file;
mod journal;
mod limit;
mod outlet;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use event::Event;

use super::journal::Journal;
use event::Stamped;
use file::AuditFile;
use limit::Limits;
use outlet::Outlet;

/// The outlets of events.
#[derive(Default)]
pub(crate) struct Audit {
    journal: Option<Outlet>,
    /// Whether the journal is enabled.
    to_journal: AtomicBool,
    file: Option<Outlet>,
    limits: Mutex<Limits>,
}

impl Audit {
    /// Starts the threads.
    pub(crate) fn start(journal: Arc<Journal>, file: Option<&Path>) -> io::Result<Self> {
        let send = move |event: &Stamped| journal::send(&journal, event);
        let file = file.map(|path| {
            let mut file = AuditFile::at(path);
            Outlet::start("audit", move |event: &Stamped| file.write(event))
        });
        Ok(Self {
            journal: Some(Outlet::start("audit-journal", send)?),
            to_journal: AtomicBool::new(false),
            file: file.transpose()?,
            limits: Mutex::default(),
        })
    }

    /// Enables or disables the journal.
    pub(crate) fn set_journal(&self, on: bool) {
        self.to_journal.store(on, Ordering::Relaxed);
    }

    /// Sets the limit of lines per second and user, none if 0, and of lines at once.
    pub(crate) fn set_limit(&self, rate: u32, burst: u32) {
        self.limits().set(rate, burst);
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event.
    pub(crate) fn record(&self, event: Event) {
        tracing::info!("{event}");
        if let Some(uid) = event.uid() {
            let now = Instant::now();
            self.on_time(now);
            if !self.limits().admits(uid, now) {
                return;
            }
        }
        self.write(event);
    }

    /// Records the daemon's end.
    pub(crate) fn record_end(&self) {
        self.tell_limited(Instant::now(), true);
        self.record(Event::new("stopped"));
    }

    /// Reports left-out lines, if it is time.
    pub(crate) fn on_time(&self, now: Instant) {
        self.tell_limited(now, false);
    }

    /// When that is next due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.limits().next()
    }

    /// Lines left out because a user caused too many.
    pub(crate) fn limited(&self) -> u64 {
        self.limits().left_out
    }

    fn tell_limited(&self, now: Instant, all: bool) {
        let ended = self.limits().ended(now, all);
        for (uid, count) in ended {
            self.write(Event::new("limited").with("uid", uid).with("count", count));
        }
    }

    fn write(&self, event: Event) {
        let journal = self.journal.as_ref();
        let journal = journal.filter(|_| self.to_journal.load(Ordering::Relaxed));
        let event = Arc::new(Stamped::now(event));
        for outlet in journal.into_iter().chain(&self.file) {
            outlet.add(Arc::clone(&event));
        }
    }

    /// Lost events: of the journal, and of the file.
    pub(crate) fn lost(&self) -> (u64, u64) {
        let lost = |outlet: &Option<Outlet>| outlet.as_ref().map_or(0, Outlet::lost);
        (lost(&self.journal), lost(&self.file))
    }

    /// Waits until everything possible is written, at most `patience` for each outlet.
    pub(crate) fn finish(&self, patience: Duration) {
        for outlet in self.journal.iter().chain(&self.file) {
            outlet.finish(patience);
        }
    }
}

impl Drop for Audit {
    /// Ends the threads.
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}
