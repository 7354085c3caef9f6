// SPDX-License-Identifier: MIT
//! Logs of consoles, and their lines for the journal, by the configuration, which
//! may change while they are served.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Server;
use crate::buffer::Record;
use crate::config::{Config, ConsoleConfig};
use crate::console::Console;
use crate::names;
use crate::sink::journal::{Lines, Rate};
use crate::sink::log::{self, Retention, Rotation, Style};

/// Number of its names under which a console's log is found again.
const LOG_NAMES: usize = 8;

impl Server {
    /// Opens or closes a console's logs by the configuration, and its journal.
    pub(super) fn set_logs(&mut self, token: usize) {
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return;
        };
        let (domid, slot) = (console.domid, console.slot.to_string());
        let config = self.config.console(&console.name, &slot);
        let logs = &self.sinks.logs;
        // First, because it needs the times for output that the log has already
        // written without them.
        let rotation = log_options(config).rotation;
        console.set_records_input(config.record_input);
        match console.recording_mut().take().filter(|_| config.record) {
            Some(recording) => {
                recording.configure(log::LogOptions::of_recording(rotation));
                *console.recording_mut() = Some(recording);
            }
            None if config.record => {
                let paths = file_paths(&self.config, console, Record::RecordingPath, "cast");
                let output = Arc::clone(console.output());
                let title = format!("{}/{slot}", console.name);
                let recording = logs.record(paths, rotation, &title, output);
                if let Some(recording) = &recording {
                    let path = recording.path().display();
                    tracing::info!("domain {domid} {slot}: its recording is {path}");
                }
                *console.recording_mut() = recording;
            }
            None => {}
        }
        match console.log_mut().take().filter(|_| config.log) {
            Some(log) => {
                log.configure(log_options(config));
                *console.log_mut() = Some(log);
            }
            None if config.log => {
                let paths = file_paths(&self.config, console, Record::LogPath, "log");
                let output = Arc::clone(console.output());
                let log = logs.open(paths, log_options(config), output);
                if let Some(log) = &log {
                    tracing::info!("domain {domid} {slot}: its log is {}", log.path().display());
                }
                *console.log_mut() = log;
            }
            None => {}
        }
        let rate = Rate {
            lines: config.journal_rate,
            burst: config.journal_burst,
        };
        match console.journal_mut().take().filter(|_| config.journal) {
            Some(journal) => {
                journal.limit(rate);
                *console.journal_mut() = Some(journal);
            }
            None if config.journal => {
                let lines = Lines::new(domid.0, &console.name, &slot, rate);
                let output = Arc::clone(console.output());
                let journal = Arc::clone(&self.sinks.journal);
                *console.journal_mut() = Some(logs.feed(journal, lines, output, Record::Journal));
            }
            None => {}
        }
    }

    /// Sets how long log files are kept, if there are any.
    pub(super) fn set_retention(&self) {
        if self.config.logs() {
            let log = &self.config.log;
            self.sinks.logs.retain(Retention {
                dir: log.dir.clone(),
                days: log.keep_days,
                total: log.total.0,
                compress: log.compress,
            });
        }
    }

    /// Completes the logs of consoles that ended while no daemon ran.
    pub(super) fn finish_orphans(&self) {
        let domains = &self.guests.domains;
        let orphans = self
            .persist
            .state_dir
            .orphans(|domid| domains.contains(&domid));
        for path in orphans {
            let output = self.persist.state_dir.adopt(&path).map(Arc::new);
            let file = |record| {
                let path = output.as_ref()?.record(record)?;
                let path = PathBuf::from(OsString::from_vec(path));
                (path.parent() == Some(&self.config.log.dir)).then_some(path)
            };
            // The name of its domain is not known any more.
            let options = log_options(self.config.console("", ""));
            let logs = &self.sinks.logs;
            if let (Some(output), Some(path)) = (&output, file(Record::RecordingPath)) {
                let rotation = options.rotation;
                let recording = logs.adopt_recording(path, rotation, "", Arc::clone(output));
                recording.finish(None);
            }
            let log = file(Record::LogPath).zip(output.clone());
            let log = log.map(|(path, output)| logs.adopt(path, options, output));
            match log {
                Some(log) => log.finish(Some(path)),
                None => drop(std::fs::remove_file(path)),
            }
        }
    }
}

/// Paths for a console's log or recording, the best one first: the last daemon's,
/// then the usual ones.
fn file_paths(
    config: &Config,
    console: &Console,
    record: Record,
    ending: &'static str,
) -> impl Iterator<Item = PathBuf> + use<> {
    let (domid, name, dir) = (console.domid, &console.name, config.log.dir.clone());
    if !names::is_plain(name) {
        tracing::warn!(
            "domain {domid}: the name {name:?} is not valid for a log, which has its number"
        );
    }
    let names = names::files(domid, name, &console.slot.log_suffix(), ending);
    let paths = names.map(move |name| dir.join(name));
    let last = console.output().record(record);
    let last = last.map(|path| PathBuf::from(OsString::from_vec(path)));
    let own = paths.clone().take(LOG_NAMES);
    let last = last.filter(|last| own.into_iter().any(|path| path == *last));
    last.into_iter().chain(paths)
}

fn log_options(config: ConsoleConfig) -> log::LogOptions {
    log::LogOptions {
        style: Style {
            timestamps: config.timestamps,
            filter: config.filter,
        },
        rotation: Rotation {
            size: config.size.0,
            count: config.count,
        },
    }
}
