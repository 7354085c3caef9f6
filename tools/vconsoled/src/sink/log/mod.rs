// SPDX-License-Identifier: MIT
//! Logs of consoles. One thread writes all of them, and sends lines to the
//! journal, because a disk can block and a guest must not: each log pulls from its
//! console's [`OutputBuffer`] what it has not written yet, and loses bytes only
//! when the disk is away for longer than the output lasts. A disk that is merely slower than a guest slows that
//! guest down.
//!
//! A log that was just written is left alone for a moment, unless much comes in
//! that time: one write of many lines costs little more than that of one.
//!
//! Before each write a record in the output says what is about to be written
//! where, after it how far the log got. So the next daemon knows which bytes of a
//! file a killed one wrote, completes them, and goes on there: every byte is in
//! the log once, and nobody else's is touched. After an orderly end nothing is
//! about to be written.
//!
//! A file has one console at a time.

mod compress;
mod feed;
pub(in crate::sink) mod file;
mod names;
mod open_log;
mod progress;
mod retention;
mod stamp;
mod text;
mod upkeep;
mod writer;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::buffer::{CAPACITY, OutputBuffer, Record};
use crate::config::Filter;

pub use retention::Retention;

use super::journal::{Journal, Lines, Rate};
use super::watch::Watch;
use feed::JournalFeed;
use open_log::OpenLog;
use writer::{Command, Task, Writer};

/// Most logs of consoles that have gone which may wait for a blocked disk.
const CLOSING_MAX: usize = 64;
/// How long the disk may take for one write before guests go on without it.
pub const GRACE: Duration = Duration::from_millis(100);
/// Most output that waits for a blocked disk, in bytes, all logs together.
pub const WAITING_MAX: u64 = 64 * 1024 * 1024;

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Start each line with the time at which its first byte came.
    pub timestamps: bool,
    /// What becomes of escape sequences.
    pub filter: Filter,
}

/// When a log begins a new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Before it grows beyond so many bytes, at the end of a line if there is
    /// one; never if 0.
    pub size: u64,
    /// How many old files are kept, as `.1`, the newest, and so on.
    pub count: u32,
}

/// The thread that writes logs, and the way to it.
pub struct Logs {
    writer: WriterHandle,
    last_id: AtomicU64,
}

/// The way to the thread.
#[derive(Clone)]
struct WriterHandle {
    commands: Sender<Command>,
    counts: Arc<Counts>,
    /// Files that consoles have.
    taken: Arc<Mutex<BTreeSet<PathBuf>>>,
}

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    /// Of those open, how many belong to consoles that have gone.
    closing: AtomicUsize,
    /// Writes that were done, of all logs together.
    writes: AtomicU64,
}

/// What a log and its writer know of each other.
struct Shared {
    id: u64,
    path: PathBuf,
    /// None: given up.
    output: Mutex<Option<Arc<OutputBuffer>>>,
    /// The writer was told that there is more, and looks by itself until there
    /// is not.
    pending: AtomicBool,
    /// It was told not to leave the log alone for so long.
    urgent: AtomicBool,
    position: AtomicU64,
    lost: AtomicU64,
    failed: AtomicBool,
}

impl Shared {
    fn output(&self) -> MutexGuard<'_, Option<Arc<OutputBuffer>>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How one log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// What its lines look like.
    pub style: Style,
    /// When it begins a new file.
    pub rotation: Rotation,
}

/// A log that is written. When it is dropped the writer completes it.
pub struct Log {
    shared: Arc<Shared>,
    writer: WriterHandle,
    /// To remove when it is complete.
    state: Option<PathBuf>,
    /// Its console has gone for good.
    gone: bool,
    /// How many writes were done when we last looked, and when that was news.
    seen: Cell<(u64, Instant)>,
    /// Its file is its console's alone.
    owns: bool,
}

impl Logs {
    /// Starts the thread, by that name.
    pub fn start(name: &str) -> io::Result<Self> {
        let (commands, messages) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let writer = Writer::new(messages, Arc::clone(&counts));
        thread::Builder::new()
            .name(name.into())
            .spawn(move || writer.run())?;
        Ok(Self {
            writer: WriterHandle {
                commands,
                counts,
                taken: Arc::default(),
            },
            last_id: AtomicU64::new(0),
        })
    }

    /// Writes the log of a console to the first of `paths` that no other console
    /// has, from where the last daemon stopped if its record in the output says.
    /// `None` if others have all of them.
    #[must_use]
    pub fn open(
        &self,
        paths: impl IntoIterator<Item = PathBuf>,
        options: LogOptions,
        output: Arc<OutputBuffer>,
    ) -> Option<Log> {
        let mut taken = self.writer.taken();
        let path = paths.into_iter().find(|path| taken.insert(path.clone()))?;
        drop(taken);
        let mut log = self.adopt(path, options, output);
        log.owns = true;
        Some(log)
    }

    /// Writes the log of a console that has gone to `path`, whoever has it now.
    #[must_use]
    pub fn adopt(&self, path: PathBuf, options: LogOptions, output: Arc<OutputBuffer>) -> Log {
        // For a daemon that comes when the console has gone.
        let _noted = output.write_record(Record::LogPath, path.as_os_str().as_bytes());
        let position = open_log::noted_position(&output);
        output.set_times(options.style.timestamps, position);
        self.begin_task(path, position, output, |shared| {
            Task::Log(Box::new(OpenLog::new(shared, options)))
        })
    }

    /// Sends lines of a console to the journal, from where the last daemon stopped if
    /// that record in the output says, or from now on.
    pub(crate) fn feed(
        &self,
        journal: Arc<Journal>,
        lines: Lines,
        output: Arc<OutputBuffer>,
        record: Record,
    ) -> Log {
        let position = feed::noted_position(&output, record);
        self.begin_task(PathBuf::from("the journal"), position, output, |shared| {
            Task::Journal(Box::new(JournalFeed::new(shared, journal, lines, record)))
        })
    }

    fn begin_task(
        &self,
        path: PathBuf,
        position: u64,
        output: Arc<OutputBuffer>,
        task: impl FnOnce(Arc<Shared>) -> Task,
    ) -> Log {
        let shared = Arc::new(Shared {
            id: self.last_id.fetch_add(1, Ordering::Relaxed),
            path,
            position: position.into(),
            output: Mutex::new(Some(output)),
            pending: AtomicBool::new(true),
            urgent: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        });
        self.writer.counts.open.fetch_add(1, Ordering::AcqRel);
        let task = task(Arc::clone(&shared));
        self.writer.send(Command::Open(shared.id, task));
        Log {
            shared,
            writer: self.writer.clone(),
            state: None,
            owns: false,
            gone: false,
            seen: Cell::new((0, Instant::now())),
        }
    }

    /// Says how long files of logs are kept.
    pub fn retain(&self, retention: Retention) {
        self.writer.send(Command::Retain(retention));
    }

    /// The logs of consoles that went before are known: others may go on with
    /// their files once these are complete. Until then no file is opened.
    pub fn begin(&self) {
        self.writer.send(Command::Begin);
    }

    /// Opens all files again, after they were moved away.
    pub fn reopen(&self) {
        self.writer.send(Command::Reopen);
    }

    /// Waits, at most so long, until everything is written that can be.
    pub fn finish(&self, patience: Duration) {
        let (tell, done) = mpsc::channel();
        self.writer.send(Command::Finish(tell));
        if done.recv_timeout(patience).is_err() {
            tracing::warn!("logs are not complete: the disk does not answer");
        }
    }
}

impl WriterHandle {
    fn taken(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, command: Command) {
        // The thread ends with the last sender.
        let _sent = self.commands.send(command);
    }
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
