// SPDX-License-Identifier: MIT
//! A console's handle for its log.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::writer::Command;
use super::{CLOSING_MAX, GRACE, LogOptions, Shared, WAITING_MAX, WriterHandle};
use crate::buffer::{Arrival, CAPACITY};
use crate::sink::journal::Rate;
use crate::sink::watch::Watch;

/// Most pieces of input per recording that wait for a blocked disk.
const TYPED_MAX: usize = 256;

/// A log that is written. On drop the writer completes it.
pub struct Log {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: WriterHandle,
    /// The state file to remove when the log is complete.
    pub(super) state: Option<PathBuf>,
    /// Its console is gone for good.
    pub(super) gone: bool,
    /// The number of writes seen last, and when it changed.
    pub(super) seen: Cell<(u64, Instant)>,
    /// The log's path is reserved for its console.
    pub(super) owns: bool,
}

impl Log {
    /// Changes the options.
    pub fn configure(&self, options: LogOptions) {
        self.writer
            .send(Command::Configure(self.shared.id, options));
    }

    /// Changes the rate of lines for the journal.
    pub(crate) fn limit(&self, rate: Rate) {
        self.writer.send(Command::Limit(self.shared.id, rate));
    }

    /// Changes the rules that select them.
    pub(crate) fn watch(&self, watch: Watch) {
        self.writer.send(Command::Watch(self.shared.id, watch));
    }

    /// Changes the domain's name in them.
    pub(crate) fn rename(&self, domain: &str) {
        let command = Command::Rename(self.shared.id, domain.to_owned());
        self.writer.send(command);
    }

    /// Signals more output, up to `end`.
    pub fn more(&self, end: u64) {
        let shared = &self.shared;
        let behind = || end.saturating_sub(self.position()) >= self.allowance() / 4;
        let news = !shared.pending.swap(true, Ordering::AcqRel)
            || behind() && !shared.urgent.swap(true, Ordering::Relaxed);
        if news {
            self.writer.send(Command::More(shared.id));
        }
    }

    /// Adds input to a recording; drops it if there is no room.
    pub(crate) fn typed(&self, bytes: &[u8]) {
        let mut typed = self.shared.typed();
        if typed.len() < TYPED_MAX {
            typed.push((Arrival::now(0), bytes.to_owned()));
            drop(typed);
            self.writer.send(Command::More(self.shared.id));
        }
    }

    /// The log's position in the output.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.shared.position.load(Ordering::Acquire)
    }

    /// How much output may wait for the log, in bytes. It is less with many logs,
    /// so that a blocked disk costs no more than [`WAITING_MAX`] beyond what is
    /// kept for viewers.
    #[must_use]
    pub fn allowance(&self) -> u64 {
        let logs = self.writer.counts.open.load(Ordering::Relaxed).max(1);
        (WAITING_MAX / logs as u64).min(CAPACITY)
    }

    /// Whether the log is about to lose output before `end` although the disk
    /// responds: the guest may then wait for it. After [`GRACE`] without a
    /// response it does not wait any longer.
    #[must_use]
    pub fn is_behind(&self, end: u64, now: Instant) -> bool {
        let behind = end.saturating_sub(self.position());
        if self.failed() || behind < self.allowance() / 4 * 3 {
            return false;
        }
        let writes = self.writer.counts.writes.load(Ordering::Relaxed);
        let (seen, since) = self.seen.get();
        if seen != writes {
            self.seen.set((writes, now));
            return true;
        }
        now.saturating_duration_since(since) < GRACE
    }

    /// Bytes lost from the log, or lines from the journal.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Whether writing fails at present.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Completes the log of a console that is gone for good, and then removes
    /// `state`, the file of its output.
    pub fn finish(mut self, state: Option<PathBuf>) {
        self.state = state;
        self.gone = true;
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let closing = self.writer.counts.closing.fetch_add(1, Ordering::AcqRel);
        if closing >= CLOSING_MAX {
            drop(self.shared.output().take());
            tracing::error!("{}: given up unfinished", self.shared.path.display());
        }
        let command = Command::Close(self.shared.id, self.state.take(), self.gone);
        self.writer.send(command);
        // The next owner of the file waits until this log is complete.
        if self.owns {
            self.writer.taken().remove(&self.shared.path);
        }
    }
}
