// SPDX-License-Identifier: MIT
//! The thread that writes logs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::feed::JournalFeed;
use super::open_log::OpenLog;
use super::retention::Retention;
use super::step::{Buffers, Closing, Step};
use super::upkeep::{Open, Upkeep};
use super::{Counts, LogOptions};
use crate::sink::journal::Rate;
use crate::sink::watch::Watch;

/// Most output of one write.
const BATCH: usize = 64 * 1024;
/// Pause after a write, so that the next one is larger.
const REST: Duration = Duration::from_millis(50);
/// Pause after a failed write.
const PAUSE: Duration = Duration::from_millis(500);
/// A command to the thread.
pub(super) enum Command {
    /// Adds a log, or another console's lines.
    Open(u64, Task),
    /// Changes a log's options.
    Configure(u64, LogOptions),
    /// Changes the rate of a console's lines.
    Limit(u64, Rate),
    /// Changes the rules that select them.
    Watch(u64, Watch),
    /// Changes the domain's name in them.
    Rename(u64, String),
    /// Sets how long files are kept.
    Retain(Retention),
    /// Files may be opened.
    Begin,
    /// A log has more output, to be written now.
    More(u64),
    /// Files were moved.
    Reopen,
    /// Completes and closes a log. The flag says that its console is gone for
    /// good; then the state file is removed.
    Close(u64, Option<PathBuf>, bool),
    /// Reply when everything possible is written.
    Finish(Sender<()>),
}

/// The destination of a console's output.
pub(super) enum Task {
    /// A file.
    Log(Box<OpenLog>),
    /// The journal.
    Journal(Box<JournalFeed>),
}

impl Task {
    fn closing(&self) -> Closing {
        match self {
            Self::Log(log) => log.closing,
            Self::Journal(feed) => feed.closing,
        }
    }

    fn close(&mut self, closing: Closing) {
        match self {
            Self::Log(log) => log.closing = closing,
            Self::Journal(feed) => feed.closing = closing,
        }
    }

    fn is_closing(&self) -> bool {
        self.closing() != Closing::No
    }

    fn is_new(&self) -> bool {
        match self {
            Self::Log(log) => log.is_new(),
            Self::Journal(feed) => feed.is_new(),
        }
    }

    /// Whether both continue one record of one output.
    fn has_record_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Log(log), Self::Log(other)) => log.has_record_of(other),
            (Self::Journal(feed), Self::Journal(other)) => feed.has_record_of(other),
            _ => false,
        }
    }

    /// Whether both write to one file.
    fn has_file_of(&self, other: &Self) -> bool {
        let logs = self.log().zip(other.log());
        logs.is_some_and(|(log, other)| log.path() == other.path())
    }

    fn log(&self) -> Option<&OpenLog> {
        match self {
            Self::Log(log) => Some(log),
            Self::Journal(_) => None,
        }
    }

    fn log_mut(&mut self) -> Option<&mut OpenLog> {
        match self {
            Self::Log(log) => Some(log),
            Self::Journal(_) => None,
        }
    }
}

/// The thread.
pub(super) struct Writer {
    commands: Receiver<Command>,
    counts: Arc<Counts>,
    tasks: BTreeMap<u64, Task>,
    /// Tasks that may have something to write.
    ready: BTreeSet<u64>,
    /// The task of the last slice.
    last: u64,
    /// Blocked tasks, and when to retry.
    later: BTreeMap<u64, Instant>,
    /// When some tasks must continue.
    timers: BTreeMap<u64, Instant>,
    /// Logs that were just written, and when to check all of them again.
    resting: BTreeSet<u64>,
    /// Tasks whose file or record belongs to another task that is incomplete.
    behind: BTreeSet<u64>,
    /// Files may be opened.
    begun: bool,
    rested: Option<Instant>,
    buffers: Buffers,
    upkeep: Upkeep,
    /// Senders to notify when nothing is ready.
    waiting: Vec<Sender<()>>,
}

impl Writer {
    pub(super) fn new(commands: Receiver<Command>, counts: Arc<Counts>) -> Self {
        Self {
            commands,
            counts,
            tasks: BTreeMap::new(),
            ready: BTreeSet::new(),
            last: 0,
            later: BTreeMap::new(),
            timers: BTreeMap::new(),
            resting: BTreeSet::new(),
            behind: BTreeSet::new(),
            begun: false,
            rested: None,
            buffers: Buffers {
                raw: vec![0; BATCH],
                text: Vec::with_capacity(BATCH),
            },
            upkeep: Upkeep::default(),
            waiting: Vec::new(),
        }
    }

    /// Runs until all senders are gone and everything is written.
    pub(super) fn run(mut self) {
        loop {
            match self.next_command() {
                Ok(command) => self.handle(command),
                Err(RecvTimeoutError::Disconnected) if self.ready.is_empty() => return,
                Err(_) => {}
            }
            self.wake(Instant::now());
            // Round robin.
            let next = self.ready.range(self.last + 1..).next();
            if let Some(id) = next.or(self.ready.first()).copied() {
                self.ready.remove(&id);
                self.last = id;
                self.run_slice(id);
            }
            self.keep_up(Instant::now());
            if self.ready.is_empty() {
                for waiting in self.waiting.drain(..) {
                    // The receiver may have given up.
                    let _told = waiting.send(());
                }
            }
        }
    }

    /// The next command, or a timeout if other work is due first.
    fn next_command(&self) -> Result<Command, RecvTimeoutError> {
        if !self.ready.is_empty() {
            return self.commands.recv_timeout(Duration::ZERO);
        }
        let now = Instant::now();
        let upkeep = self.upkeep.next(now).filter(|_| self.begun);
        let next = self.later.values().chain(self.timers.values()).copied();
        let next = next.chain(self.rested);
        match next.chain(upkeep).min() {
            None => self.commands.recv().map_err(RecvTimeoutError::from),
            Some(at) => {
                let pause = at.saturating_duration_since(now);
                self.commands.recv_timeout(pause)
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Open(id, task) => {
                self.tasks.insert(id, task);
                self.make_ready(id);
            }
            Command::Configure(id, options) => {
                if let Some(log) = self.tasks.get_mut(&id).and_then(Task::log_mut) {
                    log.configure(options);
                }
            }
            Command::Limit(id, rate) => {
                if let Some(Task::Journal(feed)) = self.tasks.get_mut(&id) {
                    feed.limit(rate);
                }
            }
            Command::Watch(id, watch) => {
                if let Some(Task::Journal(feed)) = self.tasks.get_mut(&id) {
                    feed.watch(watch);
                }
            }
            Command::Rename(id, domain) => {
                if let Some(Task::Journal(feed)) = self.tasks.get_mut(&id) {
                    feed.rename(&domain);
                }
            }
            Command::Retain(retention) => self.upkeep.set(retention),
            Command::Begin => {
                self.begun = true;
                self.ready.append(&mut self.behind);
            }
            Command::More(id) => self.make_ready(id),
            Command::Reopen => {
                for (id, task) in &mut self.tasks {
                    if let Some(log) = task.log_mut() {
                        log.reopen = true;
                        self.later.remove(id);
                        self.ready.insert(*id);
                    }
                }
            }
            Command::Close(id, state, gone) => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.close(if gone {
                        Closing::ForGood
                    } else {
                        Closing::ForNow
                    });
                    if let Some(log) = task.log_mut() {
                        log.state = state;
                    }
                }
                self.make_ready(id);
            }
            Command::Finish(tell) => {
                self.waiting.push(tell);
                self.end_rest();
                // A write that failed a moment ago may succeed now.
                self.ready
                    .extend(std::mem::take(&mut self.later).into_keys());
            }
        }
    }

    /// Makes a task ready, unless it is blocked.
    fn make_ready(&mut self, id: u64) {
        if !self.later.contains_key(&id) {
            self.ready.insert(id);
        }
    }

    /// Makes tasks ready whose time has come.
    fn wake(&mut self, now: Instant) {
        if self.rested.is_some_and(|at| at <= now) {
            self.end_rest();
        }
        for waiting in [&mut self.later, &mut self.timers] {
            waiting.retain(|id, at| {
                if *at <= now {
                    self.ready.insert(*id);
                }
                *at > now
            });
        }
    }

    fn end_rest(&mut self) {
        self.rested = None;
        self.ready.append(&mut self.resting);
    }

    /// Whether a task cannot start: files may not be opened yet, or its file or its
    /// record belongs to a closed task that is incomplete.
    fn is_behind(&self, id: u64) -> bool {
        let Some(task) = self.tasks.get(&id).filter(|task| task.is_new()) else {
            return false;
        };
        let early = !self.begun && !task.is_closing() && task.log().is_some();
        let mut others = self.tasks.iter().filter(|(other, _)| **other != id);
        early
            || others.any(|(other, before)| {
                let first = *other < id || !task.is_closing();
                let shared = task.has_file_of(before) || task.has_record_of(before);
                before.is_closing() && first && shared
            })
    }

    fn run_slice(&mut self, id: u64) {
        if self.is_behind(id) {
            self.behind.insert(id);
            return;
        }
        let now = Instant::now();
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        let step = match task {
            Task::Log(log) => {
                let step = log.step(&self.counts, &mut self.buffers);
                if std::mem::take(&mut log.rotated) {
                    self.upkeep.rotated(now);
                }
                step.inspect_err(|error| log.fail(error))
            }
            Task::Journal(feed) => feed.step(&mut self.buffers, now),
        };
        let goes_on = !task.is_closing();
        match step {
            Ok(Step::Wrote) if goes_on => {
                self.resting.insert(id);
                self.rested.get_or_insert_with(|| now + REST);
            }
            Ok(Step::Wrote | Step::Partly) => self.make_ready(id),
            Ok(Step::Later(at)) => {
                self.later.insert(id, at);
            }
            Ok(Step::Again(at)) => {
                self.timers.insert(id, at);
            }
            Ok(Step::Nothing) if !goes_on => self.end(id),
            // A later task continues its record.
            Err(_) if !goes_on && self.is_continued(id) => self.end(id),
            Ok(Step::Nothing) => {}
            Err(_) => {
                self.later.insert(id, Instant::now() + PAUSE);
            }
        }
    }

    /// Whether another task has the same record.
    fn is_continued(&self, id: u64) -> bool {
        let task = self.tasks.get(&id);
        let mut others = self.tasks.iter().filter(|(other, _)| **other != id);
        task.is_some_and(|task| others.any(|(_, other)| other.has_record_of(task)))
    }

    fn end(&mut self, id: u64) {
        if let Some(Task::Log(mut log)) = self.tasks.remove(&id) {
            if let Some(state) = log.state.take() {
                // It may not exist.
                let _gone = std::fs::remove_file(state);
            }
            log.leave();
        }
        self.ready.append(&mut self.behind);
        self.counts.open.fetch_sub(1, Ordering::AcqRel);
        self.counts.closing.fetch_sub(1, Ordering::AcqRel);
    }

    /// Maintains files that are not written any more.
    fn keep_up(&mut self, now: Instant) {
        if self.begun && self.upkeep.is_due(now) {
            let logs = self.tasks.values().filter_map(Task::log);
            let path = |log: &OpenLog| log.path().to_owned();
            let open = Open {
                incomplete: logs
                    .clone()
                    .filter(|log| log.is_incomplete())
                    .map(path)
                    .collect(),
                kept: logs.map(|log| (path(log), log.count())).collect(),
            };
            self.upkeep.look(&open, now);
        }
        self.upkeep.step(now);
    }
}
