// SPDX-License-Identifier: MIT
//! Logs of consoles. One thread writes all of them, and sends lines to the
//! journal, because a disk can block and a guest must not: each log pulls
//! unwritten output from its console's [`OutputBuffer`], and loses bytes only if
//! the disk blocks for longer than the buffer lasts. A disk that is only slower
//! than a guest slows that guest down.
//!
//! After a write a log pauses for a moment, unless much output comes: one write
//! of many lines costs little more than that of one line.
//!
//! Before each write a record in the output describes it, and after it has the
//! log's position. So the next daemon can identify the bytes that a killed daemon
//! wrote, complete them, and continue there: every byte is in the log once, and
//! other programs' bytes are not changed. After an orderly end no write is
//! pending.
//!
//! A file belongs to one console at a time.

mod cast;
mod compress;
mod feed;
pub(in crate::sink) mod file;
mod handle;
mod names;
mod open_log;
mod progress;
mod retention;
mod stamp;
mod step;
mod text;
mod upkeep;
mod writer;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::buffer::{Arrival, OutputBuffer, Record};
use crate::config::Filter;

pub use handle::Log;
pub use retention::Retention;

use super::journal::{Journal, Lines};
use cast::Cast;
use feed::JournalFeed;
use open_log::OpenLog;
use writer::{Command, Task, Writer};

/// Most logs of closed consoles that may wait for a blocked disk.
const CLOSING_MAX: usize = 64;
/// How long one write may take before guests continue without it.
pub const GRACE: Duration = Duration::from_millis(100);
/// Most output that waits for a blocked disk, in bytes, all logs together.
pub const WAITING_MAX: u64 = 64 * 1024 * 1024;

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Start each line with the time at which its first byte came.
    pub timestamps: bool,
    /// How escape sequences are handled.
    pub filter: Filter,
}

/// When a log is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Limit of a file's size, at the end of a line if possible; none if 0.
    pub size: u64,
    /// Number of old files kept, as `.1`, the newest, and so on.
    pub count: u32,
}

/// The thread that writes logs.
pub struct Logs {
    writer: WriterHandle,
    last_id: AtomicU64,
}

/// The channel to the thread.
#[derive(Clone)]
struct WriterHandle {
    commands: Sender<Command>,
    counts: Arc<Counts>,
    /// Files that belong to consoles.
    taken: Arc<Mutex<BTreeSet<PathBuf>>>,
}

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    /// How many of the open logs belong to closed consoles.
    closing: AtomicUsize,
    /// Completed writes of all logs.
    writes: AtomicU64,
}

/// Data shared by a log's handle and its writer.
struct Shared {
    id: u64,
    path: PathBuf,
    /// `None`: given up.
    output: Mutex<Option<Arc<OutputBuffer>>>,
    /// More output was signalled, and the writer has not read all of it yet.
    pending: AtomicBool,
    /// The writer must shorten its pause.
    urgent: AtomicBool,
    position: AtomicU64,
    lost: AtomicU64,
    failed: AtomicBool,
    /// Input that is not in the recording yet.
    typed: Mutex<Vec<(Arrival, Vec<u8>)>>,
}

impl Shared {
    fn output(&self) -> MutexGuard<'_, Option<Arc<OutputBuffer>>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_output_of(&self, other: &Self) -> bool {
        let output = self.output().clone();
        output
            .zip(other.output().clone())
            .is_some_and(|(one, other)| Arc::ptr_eq(&one, &other))
    }

    fn typed(&self) -> MutexGuard<'_, Vec<(Arrival, Vec<u8>)>> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Options of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The form of its lines.
    pub style: Style,
    /// When it is rotated.
    pub rotation: Rotation,
}

impl LogOptions {
    /// A recording needs times, and contains every byte.
    pub(crate) fn of_recording(rotation: Rotation) -> Self {
        let style = Style {
            timestamps: true,
            filter: Filter::None,
        };
        Self { style, rotation }
    }
}

impl Logs {
    /// Starts the thread under that name.
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

    /// Writes the log of a console to the first of `paths` that belongs to no
    /// other console, from the last daemon's recorded position if there is one.
    /// `None` if all belong to others.
    #[must_use]
    pub fn open(
        &self,
        paths: impl IntoIterator<Item = PathBuf>,
        options: LogOptions,
        output: Arc<OutputBuffer>,
    ) -> Option<Log> {
        let path = self.writer.take(paths)?;
        let mut log = self.adopt(path, options, output);
        log.owns = true;
        Some(log)
    }

    /// Writes the log of a closed console to `path`, whichever console owns that now.
    #[must_use]
    pub fn adopt(&self, path: PathBuf, options: LogOptions, output: Arc<OutputBuffer>) -> Log {
        // For a daemon that starts after the console has gone.
        let _noted = output.write_record(Record::LogPath, path.as_os_str().as_bytes());
        self.begin_log(path, options, output, Record::Log, None)
    }

    /// Records a console to the first of `paths` that belongs to no other
    /// console, like [`open`](Self::open), with that title.
    #[must_use]
    pub fn record(
        &self,
        paths: impl IntoIterator<Item = PathBuf>,
        rotation: Rotation,
        title: &str,
        output: Arc<OutputBuffer>,
    ) -> Option<Log> {
        let path = self.writer.take(paths)?;
        let mut log = self.adopt_recording(path, rotation, title, output);
        log.owns = true;
        Some(log)
    }

    /// Records a closed console to `path`, whichever console owns that now.
    #[must_use]
    pub fn adopt_recording(
        &self,
        path: PathBuf,
        rotation: Rotation,
        title: &str,
        output: Arc<OutputBuffer>,
    ) -> Log {
        let options = LogOptions::of_recording(rotation);
        let _noted = output.write_record(Record::RecordingPath, path.as_os_str().as_bytes());
        let cast = Some(Cast::new(title));
        self.begin_log(path, options, output, Record::Recording, cast)
    }

    fn begin_log(
        &self,
        path: PathBuf,
        options: LogOptions,
        output: Arc<OutputBuffer>,
        record: Record,
        cast: Option<Cast>,
    ) -> Log {
        let position = open_log::noted_position(&output, record);
        self.begin_task(path, position, output, |shared| {
            Task::Log(Box::new(OpenLog::new(shared, options, cast)))
        })
    }

    /// Sends lines of a console to the journal, from the last daemon's recorded
    /// position if there is one, or else from now on.
    pub(crate) fn feed(
        &self,
        journal: Arc<Journal>,
        lines: Lines,
        output: Arc<OutputBuffer>,
        record: Record,
    ) -> Log {
        let position = feed::noted_position(&output, record).unwrap_or(output.end());
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
            typed: Mutex::default(),
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

    /// Sets how long log files are kept.
    pub fn retain(&self, retention: Retention) {
        self.writer.send(Command::Retain(retention));
    }

    /// All logs of consoles that ended before are open: other consoles may
    /// continue their files once these are complete. Before this call no file is
    /// opened.
    pub fn begin(&self) {
        self.writer.send(Command::Begin);
    }

    /// Reopens all files after they were moved.
    pub fn reopen(&self) {
        self.writer.send(Command::Reopen);
    }

    /// Waits until everything possible is written, at most for `patience`.
    pub fn finish(&self, patience: Duration) {
        let (tell, done) = mpsc::channel();
        self.writer.send(Command::Finish(tell));
        if done.recv_timeout(patience).is_err() {
            tracing::warn!("logs are not complete: the disk does not answer");
        }
    }
}

impl WriterHandle {
    /// The first path that belongs to no other console.
    fn take(&self, paths: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
        let mut taken = self.taken();
        paths.into_iter().find(|path| taken.insert(path.clone()))
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, command: Command) {
        // The thread ends after all senders.
        let _sent = self.commands.send(command);
    }
}
