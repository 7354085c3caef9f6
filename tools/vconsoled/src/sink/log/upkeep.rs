// SPDX-License-Identifier: MIT
//! Upkeep of the folder of logs: removes old or excess files, compresses rotated
//! ones, and removes partial files of a killed daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::compress::{self, Compression};
use super::names::{self, Form};
use super::retention::{self, Entry, Retention};

/// Shortest and longest interval between checks of the folder.
const SOON: Duration = Duration::from_millis(250);
const LATE: Duration = Duration::from_secs(3600);
/// Pause while some logs' files are incomplete.
const COMPLETION: Duration = Duration::from_millis(50);

/// The writer's logs.
#[derive(Default)]
pub(super) struct Open {
    /// Logs of consoles, and the number of old files that each keeps.
    pub(super) kept: BTreeMap<PathBuf, u32>,
    /// Those whose files may have to be completed first.
    pub(super) incomplete: BTreeSet<PathBuf>,
}

#[derive(Default)]
pub(super) struct Upkeep {
    retention: Retention,
    looked: Option<Instant>,
    due: Option<Instant>,
    compression: Option<Compression>,
    /// Logs with a file that could not be compressed: retried after the next
    /// rotation.
    failed: BTreeSet<PathBuf>,
}

impl Upkeep {
    /// Applies other rules at once.
    pub(super) fn set(&mut self, retention: Retention) {
        self.retention = retention;
        self.compression = None;
        self.failed.clear();
        self.due = Some(Instant::now());
    }

    /// Handles a rotation.
    pub(super) fn rotated(&mut self, now: Instant) {
        if self.retention.is_needed() {
            self.failed.clear();
            self.be_due(self.looked.map_or(now, |looked| now.max(looked + SOON)));
        }
    }

    fn be_due(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// When to continue.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if self.compression.is_some() {
            return Some(now);
        }
        self.due
    }

    /// Whether the folder is due for a check.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.compression.is_none() && self.due.is_some_and(|due| due <= now)
    }

    /// Compresses a piece, if a compression is in progress.
    pub(super) fn step(&mut self, now: Instant) {
        let Some(compression) = &mut self.compression else {
            return;
        };
        match compression.step() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                let log = compression.log().to_owned();
                self.fail(log, &error);
            }
        }
        self.compression = None;
        self.be_due(now);
    }

    /// Checks the folder.
    pub(super) fn look(&mut self, open: &Open, now: Instant) {
        self.looked = Some(now);
        self.due = self.retention.is_needed().then(|| now + LATE);
        let entries = match retention::list(&self.retention.dir) {
            Ok(entries) => entries,
            // No log was ever written.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::error!("{}: {error}", self.retention.dir.display());
                return;
            }
        };
        let (entries, left): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| !is_left_over(entry));
        for entry in left {
            remove(&entry.path, "left over");
        }
        let go = retention::too_many(&entries, &open.kept, &self.retention, SystemTime::now());
        for entry in &go {
            remove(&entry.path, "too old or too much");
        }
        if self.retention.compress {
            let next = entries.iter().find(|entry| {
                let plain = matches!(
                    entry.form,
                    Form::Old {
                        compressed: false,
                        ..
                    }
                );
                plain
                    && !go.contains(entry)
                    && !open.incomplete.contains(&entry.log)
                    && !self.failed.contains(&entry.log)
            });
            if !open.incomplete.is_empty() {
                self.be_due(now + COMPLETION);
            }
            if let Some(entry) = next {
                match Compression::begin(&entry.log, &entry.path) {
                    Ok(compression) => self.compression = Some(compression),
                    Err(error) => {
                        self.fail(entry.log.clone(), &error);
                        self.be_due(now);
                    }
                }
            }
        }
    }

    fn fail(&mut self, log: PathBuf, why: &std::io::Error) {
        tracing::warn!("{}: an old file is not compressed: {why}", log.display());
        self.failed.insert(log);
    }
}

/// An incomplete file, or one whose compressed form is complete.
fn is_left_over(entry: &Entry) -> bool {
    match entry.form {
        Form::Part => true,
        Form::Old {
            number,
            compressed: false,
        } => compress::is_same(&names::compressed(&entry.log, number), &entry.path),
        _ => false,
    }
}

fn remove(path: &Path, why: &str) {
    match std::fs::remove_file(path) {
        Ok(()) => tracing::info!("{}: {why}, removed", path.display()),
        Err(error) => tracing::warn!("{}: {why}, not removed: {error}", path.display()),
    }
}
