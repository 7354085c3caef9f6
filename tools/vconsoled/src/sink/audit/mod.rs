// SPDX-License-Identifier: MIT
//! Who was attached to which console, from when to when and why no longer, who was
//! refused, and who sent breaks and messages: to the journal and to a file, as the
//! configuration says, and with `-v` to the daemon's messages. What was typed is
//! not in it. One user makes so many lines and no more ([`limit`]).
//!
//! A thread for each of the two takes events from a bounded queue, so a disk that
//! stands still costs no guest anything. What does not fit is counted, and an event
//! `lost` in its place says how much.

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

/// Where events go.
#[derive(Default)]
pub(crate) struct Audit {
    journal: Option<Outlet>,
    /// Whether they go there now.
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

    /// Has events go to the journal from now on, or not.
    pub(crate) fn set_journal(&self, on: bool) {
        self.to_journal.store(on, Ordering::Relaxed);
    }

    /// Has each user make so many lines a second, all of them if 0, and so many at once.
    pub(crate) fn set_limit(&self, rate: u32, burst: u32) {
        self.limits().set(rate, burst);
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened.
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

    /// The daemon ends.
    pub(crate) fn record_end(&self) {
        self.tell_limited(Instant::now(), true);
        self.record(Event::new("stopped"));
    }

    /// Tells of lines that were left out, if it is time.
    pub(crate) fn on_time(&self, now: Instant) {
        self.tell_limited(now, false);
    }

    /// When it will be.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.limits().next()
    }

    /// Lines that were left out because a user made too many.
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

    /// Events that are missing: from the journal, and from the file.
    pub(crate) fn lost(&self) -> (u64, u64) {
        let lost = |outlet: &Option<Outlet>| outlet.as_ref().map_or(0, Outlet::lost);
        (lost(&self.journal), lost(&self.file))
    }

    /// Waits, at most so long for each, until everything is written that can be.
    pub(crate) fn finish(&self, patience: Duration) {
        for outlet in self.journal.iter().chain(&self.file) {
            outlet.finish(patience);
        }
    }
}

impl Drop for Audit {
    /// The threads end.
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}
