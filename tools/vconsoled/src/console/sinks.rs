// SPDX-License-Identifier: MIT
//! Consumers of a console's output on other threads: its log, its recording, lines
//! for the journal, and rules that watch it.

use std::collections::BTreeMap;
use std::path::Path;

use super::Console;
use crate::sink::log::Log;
use crate::sink::watch::Watch;

/// Rules that a console's output is looked at by, and what looks.
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

    /// Sets whether what is typed is recorded too.
    pub(crate) fn set_records_input(&mut self, records: bool) {
        self.records_input = records;
    }

    /// What sends its lines to the journal, if they go there.
    pub(crate) fn journal_mut(&mut self) -> &mut Option<Log> {
        &mut self.journal
    }

    /// What its output is looked at by, if there are such rules.
    pub(crate) fn watching_mut(&mut self) -> &mut Option<Watching> {
        &mut self.watch
    }

    /// How often each of those rules found a line.
    pub(crate) fn matches(&self) -> BTreeMap<String, u64> {
        let counts = self.watch.iter().flat_map(|one| one.watch.counts());
        counts
            .map(|(name, count)| (name.to_owned(), count))
            .collect()
    }

    /// All that takes output on another thread.
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

    /// The log, and all else that looks at the output, when the console is let go of.
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
