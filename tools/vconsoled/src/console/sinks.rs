// SPDX-License-Identifier: MIT
//! Consumers of a console's output on other threads: its log, its recording, its
//! journal, and its watch rules.

use std::collections::BTreeMap;
use std::path::Path;

use super::Console;
use crate::sink::log::Log;
use crate::sink::watch::Watch;

/// The watch rules of a console, and the thread's handle.
pub(crate) struct Watching {
    pub(crate) watch: Watch,
    pub(crate) log: Log,
}

impl Console {
    /// Its log, if its output is logged.
    pub(crate) fn log_mut(&mut self) -> &mut Option<Log> {
        &mut self.log
    }

    /// Its recording, if it is recorded.
    pub(crate) fn recording_mut(&mut self) -> &mut Option<Log> {
        &mut self.recording
    }

    /// Sets whether input is recorded too.
    pub(crate) fn set_records_input(&mut self, records: bool) {
        self.records_input = records;
    }

    /// The sink that sends lines to the journal, if there is one.
    pub(crate) fn journal_mut(&mut self) -> &mut Option<Log> {
        &mut self.journal
    }

    /// Its watch rules, if there are any.
    pub(crate) fn watching_mut(&mut self) -> &mut Option<Watching> {
        &mut self.watch
    }

    /// Number of matches of each watch rule.
    pub(crate) fn matches(&self) -> BTreeMap<String, u64> {
        let counts = self.watch.iter().flat_map(|one| one.watch.counts());
        counts
            .map(|(name, count)| (name.to_owned(), count))
            .collect()
    }

    /// All sinks on other threads.
    pub(super) fn logs(&self) -> impl Iterator<Item = &Log> {
        let watch = self.watch.iter().map(|one| &one.log);
        let files = self.log.iter().chain(&self.recording);
        files.chain(&self.journal).chain(watch)
    }

    /// Lines that are missing from the journal.
    pub(crate) fn journal_lost(&self) -> u64 {
        let watch = self.watch.iter().map(|one| &one.log);
        self.journal.iter().chain(watch).map(Log::lost).sum()
    }

    /// The log, and all other sinks, when the console is closed.
    pub(crate) fn into_logs(self) -> (Option<Log>, impl Iterator<Item = Log>) {
        let watch = self.watch.map(|one| one.log);
        let others = self.recording.into_iter().chain(self.journal);
        (self.log, others.chain(watch))
    }

    /// Its log file, if it has one.
    pub(crate) fn log_path(&self) -> &Path {
        self.log.as_ref().map_or(Path::new(""), Log::path)
    }

    /// The file of its recording, if it has one.
    pub(crate) fn recording_path(&self) -> &Path {
        self.recording.as_ref().map_or(Path::new(""), Log::path)
    }

    /// Bytes that are missing from the log or from the recording.
    pub(crate) fn log_lost(&self) -> u64 {
        self.log.iter().chain(&self.recording).map(Log::lost).sum()
    }
}
