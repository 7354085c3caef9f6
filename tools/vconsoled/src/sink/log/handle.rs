// SPDX-License-Identifier: MIT
//! A console's handle of its log.

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

/// Pieces that were typed and wait for a blocked disk, at most, of each recording.
const TYPED_MAX: usize = 256;

/// A log that is written. When it is dropped the writer completes it.
pub struct Log {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: WriterHandle,
    /// To remove when it is complete.
    pub(super) state: Option<PathBuf>,
    /// Its console has gone for good.
    pub(super) gone: bool,
    /// How many writes were done when we last looked, and when that was news.
    pub(super) seen: Cell<(u64, Instant)>,
    /// Its file is its console's alone.
    pub(super) owns: bool,
}

impl Log {
    /// Goes on in another way.
    pub fn configure(&self, options: LogOptions) {
        self.writer
            .send(Command::Configure(self.shared.id, options));
    }

    /// The same for lines that go to the journal.
    pub(crate) fn limit(&self, rate: Rate) {
        self.writer.send(Command::Limit(self.shared.id, rate));
    }

    /// The same for the rules that find them.
    pub(crate) fn watch(&self, watch: Watch) {
        self.writer.send(Command::Watch(self.shared.id, watch));
    }

    /// The domain whose lines go to the journal has another name.
    pub(crate) fn rename(&self, domain: &str) {
        let command = Command::Rename(self.shared.id, domain.to_owned());
        self.writer.send(command);
    }

    /// Says that there is more in the output, which goes up to `end`.
    pub fn more(&self, end: u64) {
        let shared = &self.shared;
        let behind = || end.saturating_sub(self.position()) >= self.allowance() / 4;
        let news = !shared.pending.swap(true, Ordering::AcqRel)
            || behind() && !shared.urgent.swap(true, Ordering::Relaxed);
        if news {
            self.writer.send(Command::More(shared.id));
        }
    }

    /// Adds to a recording what was typed just now. What there is no room for is left out.
    pub(crate) fn typed(&self, bytes: &[u8]) {
        let mut typed = self.shared.typed();
        if typed.len() < TYPED_MAX {
            typed.push((Arrival::now(0), bytes.to_owned()));
            drop(typed);
            self.writer.send(Command::More(self.shared.id));
        }
    }

    /// How far the log got in the output.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.shared.position.load(Ordering::Acquire)
    }

    /// How much of the output, in bytes, may wait for the log. It is less
    /// when there are many logs, so that a blocked disk costs no more than
    /// [`WAITING_MAX`] beyond what is kept for viewers.
    #[must_use]
    pub fn allowance(&self) -> u64 {
        let logs = self.writer.counts.open.load(Ordering::Relaxed).max(1);
        (WAITING_MAX / logs as u64).min(CAPACITY)
    }

    /// Whether the log is about to lose bytes of an output buffer that goes up to
    /// `end`, although the disk answers: the guest may then wait for it. A
    /// disk that has not answered for [`GRACE`] is waited for no longer.
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

    /// Bytes that are missing from the log, or lines that are from the journal.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Whether it cannot be written at present.
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
        // Whose it is next waits until this one is complete.
        if self.owns {
            self.writer.taken().remove(&self.shared.path);
        }
    }
}
