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
    /// What was typed and is not in the recording yet.
    typed: Mutex<Vec<(Arrival, Vec<u8>)>>,
}

impl Shared {
    fn output(&self) -> MutexGuard<'_, Option<Arc<OutputBuffer>>> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn typed(&self) -> MutexGuard<'_, Vec<(Arrival, Vec<u8>)>> {
        self.typed.lock().unwrap_or_else(PoisonError::into_inner)
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

impl LogOptions {
    /// A recording needs times, and has every byte.
    pub(crate) fn of_recording(rotation: Rotation) -> Self {
        let style = Style {
            timestamps: true,
            filter: Filter::None,
        };
        Self { style, rotation }
    }
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
        let path = self.writer.take(paths)?;
        let mut log = self.adopt(path, options, output);
        log.owns = true;
        Some(log)
    }

    /// Writes the log of a console that has gone to `path`, whoever has it now.
    #[must_use]
    pub fn adopt(&self, path: PathBuf, options: LogOptions, output: Arc<OutputBuffer>) -> Log {
        // For a daemon that comes when the console has gone.
        let _noted = output.write_record(Record::LogPath, path.as_os_str().as_bytes());
        self.begin_log(path, options, output, Record::Log, None)
    }

    /// Records a console to the first of `paths` that no other console has, as
    /// [`open`](Self::open) does; by that title.
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

    /// Records a console that has gone to `path`, whoever has it now.
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
        output.set_times(record, options.style.timestamps, position);
        self.begin_task(path, position, output, |shared| {
            Task::Log(Box::new(OpenLog::new(shared, options, cast)))
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
    /// The first that no other console has.
    fn take(&self, paths: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
        let mut taken = self.taken();
        paths.into_iter().find(|path| taken.insert(path.clone()))
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, command: Command) {
        // The thread ends with the last sender.
        let _sent = self.commands.send(command);
    }
}
