// SPDX-License-Identifier: MIT
//! Logs of consoles, and what they send to the journal: as the configuration
//! says, also while they are served.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Server;
use super::access::Identity;
use crate::buffer::Record;
use crate::config::{Config, ConsoleConfig};
use crate::console::{Console, Watching};
use crate::names;
use crate::sink::journal::{Lines, Rate};
use crate::sink::log::{self, Retention, Rotation, Style};
use crate::sink::watch::Watch;

/// Under so many of its names a console's log is found again.
const LOG_NAMES: usize = 8;

impl Server {
    /// Gives a console the log that it is to have, or takes it away; the same for
    /// the journal.
    pub(super) fn set_logs(&mut self, token: usize) {
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return;
        };
        let (domid, slot) = (console.domid, console.slot.to_string());
        let config = self.config.console(&console.name, &slot);
        let logs = &self.sinks.logs;
        match console.log_mut().take().filter(|_| config.log) {
            Some(log) => {
                log.configure(log_options(config));
                *console.log_mut() = Some(log);
            }
            None if config.log => {
                let paths = log_paths(&self.config, console);
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

    /// Has a console's output looked at by the rules that are for it, and by nothing
    /// if there are none.
    pub(super) fn set_watch(&mut self, token: usize) {
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return;
        };
        let (domid, slot) = (console.domid, console.slot.to_string());
        let name = console.name.as_str();
        let identity = self.guests.identities.get(&domid);
        let uuid = identity.map_or("", Identity::uuid);
        let rules = self.config.watch.of(name, uuid, &slot);
        let config = self.config.console(name, &slot);
        let rate = Rate {
            lines: config.journal_rate,
            burst: config.journal_burst,
        };
        let before = console.watching_mut().take();
        let watch = before.as_ref().map(|one| one.watch.clone());
        let watch = Watch::new(&rules, &watch.unwrap_or_default());
        if watch.is_empty() {
            return;
        }
        let log = match before.map(|one| one.log) {
            Some(log) => {
                log.watch(watch.clone());
                log.limit(rate);
                log
            }
            None => {
                let lines = Lines::watched(watch.clone(), domid.0, &console.name, &slot, rate);
                let journal = Arc::clone(&self.sinks.journal);
                let output = Arc::clone(console.output());
                self.sinks.watch.feed(journal, lines, output, Record::Watch)
            }
        };
        *console.watching_mut() = Some(Watching { watch, log });
    }

    /// Says how long files of logs are kept, if there are any.
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

    /// Completes the logs of consoles that went while no daemon was there.
    pub(super) fn finish_orphans(&self) {
        let domains = &self.guests.domains;
        let orphans = self
            .persist
            .state_dir
            .orphans(|domid| domains.contains(&domid));
        for path in orphans {
            let log = self.persist.state_dir.adopt(&path).and_then(|output| {
                let log = PathBuf::from(OsString::from_vec(output.record(Record::LogPath)?));
                // What its domain's name was is not known any more.
                let options = log_options(self.config.console("", ""));
                (log.parent() == Some(&self.config.log.dir))
                    .then(|| self.sinks.logs.adopt(log, options, Arc::new(output)))
            });
            match log {
                Some(log) => log.finish(Some(path)),
                None => drop(std::fs::remove_file(path)),
            }
        }
    }
}

/// Where a console's log may go, the best place first: where the last daemon had
/// it, or where people look for it.
fn log_paths(config: &Config, console: &Console) -> impl Iterator<Item = PathBuf> {
    let (domid, name, dir) = (console.domid, &console.name, config.log.dir.clone());
    if !names::is_plain(name) {
        tracing::warn!("domain {domid}: the name {name:?} cannot name a log, its number does");
    }
    let names = names::logs(domid, name, &console.slot.log_suffix());
    let paths = names.map(move |name| dir.join(name));
    let last = console.output().record(Record::LogPath);
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
