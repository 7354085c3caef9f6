// SPDX-License-Identifier: MIT
//! The thread that writes logs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::open_log::{Buffers, Closing, OpenLog, Step};
use super::{Counts, Shared};

/// How much output is written at once.
const BATCH: usize = 64 * 1024;
/// How long a log is left alone that was just written, so that the next write
/// is worth its while.
const REST: Duration = Duration::from_millis(50);
/// How long to leave a log alone that could not be written.
const PAUSE: Duration = Duration::from_millis(500);
/// What the thread is told.
pub(super) enum Command {
    /// There is another log.
    Open(Arc<Shared>),
    /// Files may be opened.
    Begin,
    /// There is more for a log, which is to be written now.
    More(u64),
    /// Files were moved away.
    Reopen,
    /// A log is completed, and then let go of. The state of a console that has
    /// gone for good is removed; the flag says that it has.
    Close(u64, Option<PathBuf>, bool),
    /// Tell when everything is written that can be.
    Finish(Sender<()>),
}

/// The thread.
pub(super) struct Writer {
    commands: Receiver<Command>,
    counts: Arc<Counts>,
    logs: BTreeMap<u64, OpenLog>,
    /// Logs that may have something to write.
    ready: BTreeSet<u64>,
    /// The one that had the last slice.
    last: u64,
    /// Logs that could not be written, and when to try again.
    later: BTreeMap<u64, Instant>,
    /// Logs that were just written, and when to look at all of them again.
    resting: BTreeSet<u64>,
    /// Logs whose file belongs to one that is not complete yet.
    behind: BTreeSet<u64>,
    /// Files may be opened.
    begun: bool,
    rested: Option<Instant>,
    buffers: Buffers,
    /// Those to tell when nothing is ready.
    waiting: Vec<Sender<()>>,
}

impl Writer {
    pub(super) fn new(commands: Receiver<Command>, counts: Arc<Counts>) -> Self {
        Self {
            commands,
            counts,
            logs: BTreeMap::new(),
            ready: BTreeSet::new(),
            last: 0,
            later: BTreeMap::new(),
            resting: BTreeSet::new(),
            behind: BTreeSet::new(),
            begun: false,
            rested: None,
            buffers: Buffers {
                raw: vec![0; BATCH],
                text: Vec::with_capacity(BATCH),
            },
            waiting: Vec::new(),
        }
    }

    /// Writes until nobody can tell of more.
    pub(super) fn run(mut self) {
        loop {
            match self.next_command() {
                Ok(command) => self.handle(command),
                Err(RecvTimeoutError::Disconnected) if self.ready.is_empty() => return,
                Err(_) => {}
            }
            self.wake(Instant::now());
            // The next one after the last, round and round.
            let next = self.ready.range(self.last + 1..).next();
            if let Some(id) = next.or(self.ready.first()).copied() {
                self.ready.remove(&id);
                self.last = id;
                self.run_slice(id);
            }
            if self.ready.is_empty() {
                for waiting in self.waiting.drain(..) {
                    // Who does not wait any more does not mind.
                    let _told = waiting.send(());
                }
            }
        }
    }

    /// What is told next, unless something is to be done before.
    fn next_command(&self) -> Result<Command, RecvTimeoutError> {
        if !self.ready.is_empty() {
            return self.commands.recv_timeout(Duration::ZERO);
        }
        match self.later.values().copied().chain(self.rested).min() {
            None => self.commands.recv().map_err(RecvTimeoutError::from),
            Some(at) => {
                let pause = at.saturating_duration_since(Instant::now());
                self.commands.recv_timeout(pause)
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Open(shared) => {
                let id = shared.id;
                self.logs.insert(id, OpenLog::new(shared));
                self.make_ready(id);
            }
            Command::Begin => {
                self.begun = true;
                self.ready.append(&mut self.behind);
            }
            Command::More(id) => self.make_ready(id),
            Command::Reopen => {
                self.later.clear();
                for (id, log) in &mut self.logs {
                    log.reopen = true;
                    self.ready.insert(*id);
                }
            }
            Command::Close(id, state, gone) => {
                if let Some(log) = self.logs.get_mut(&id) {
                    log.closing = if gone {
                        Closing::ForGood
                    } else {
                        Closing::ForNow
                    };
                    log.state = state;
                }
                self.make_ready(id);
            }
            Command::Finish(tell) => {
                self.waiting.push(tell);
                self.end_rest();
            }
        }
    }

    /// Gives a log a slice, unless it is left alone for now.
    fn make_ready(&mut self, id: u64) {
        if !self.later.contains_key(&id) {
            self.ready.insert(id);
        }
    }

    /// Turns to logs that were left alone for long enough.
    fn wake(&mut self, now: Instant) {
        if self.rested.is_some_and(|at| at <= now) {
            self.end_rest();
        }
        while let Some(id) = self
            .later
            .iter()
            .find_map(|(id, at)| (*at <= now).then_some(*id))
        {
            self.later.remove(&id);
            self.make_ready(id);
        }
    }

    fn end_rest(&mut self) {
        self.rested = None;
        self.ready.append(&mut self.resting);
    }

    /// Whether the log's file may not be opened yet, or belongs to a console that
    /// has gone and is not complete.
    fn is_behind(&self, id: u64) -> bool {
        let log = self.logs.get(&id).filter(|log| log.is_new());
        log.is_some_and(|log| {
            let mut others = self.logs.iter().filter(|(other, _)| **other != id);
            !self.begun && !log.is_closing()
                || others.any(|(other, before)| {
                    let first = *other < id || !log.is_closing();
                    before.is_closing() && first && before.path() == log.path()
                })
        })
    }

    fn run_slice(&mut self, id: u64) {
        if self.is_behind(id) {
            self.behind.insert(id);
            return;
        }
        let Some(log) = self.logs.get_mut(&id) else {
            return;
        };
        match log.step(&self.counts, &mut self.buffers) {
            Ok(Step::Wrote) if log.closing == Closing::No => {
                self.resting.insert(id);
                self.rested.get_or_insert_with(|| Instant::now() + REST);
            }
            Ok(Step::Wrote | Step::Partly) => self.make_ready(id),
            Ok(Step::Nothing) if log.closing != Closing::No => {
                if let Some(state) = log.state.take() {
                    // One that was never there is gone as well.
                    let _gone = std::fs::remove_file(state);
                }
                self.logs.remove(&id);
                self.ready.append(&mut self.behind);
                self.counts.open.fetch_sub(1, Ordering::AcqRel);
                self.counts.closing.fetch_sub(1, Ordering::AcqRel);
            }
            Ok(Step::Nothing) => {}
            Err(error) => {
                log.fail(&error);
                self.later.insert(id, Instant::now() + PAUSE);
            }
        }
    }
}
