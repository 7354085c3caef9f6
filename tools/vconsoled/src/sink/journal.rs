// SPDX-License-Identifier: MIT
//! Guests' lines in journald, each an entry with fields for its origin (systemd's
//! "Journal native protocol"). Tools that forward a host's journal forward them
//! too.
//!
//! The lines per second of each console are limited: further lines are counted,
//! and an entry reports the number. If the journal is full, lines wait for a
//! short time.
//!
//! If a console's output is [watched](super::watch), matching lines are sent once
//! more, with the rules' names.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use text_filter::{Filter, Policy};

use super::watch::{Found, Watch};

/// Longest line; a longer one becomes several entries.
const LINE_MAX: usize = 4096;
/// How long the journal may be full before lines are left out, and the interval
/// between attempts.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(5);
/// How long after lines were left out an entry reports that.
const REPORT: Duration = Duration::from_secs(1);

/// The limit of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Lines per second; no limit if 0.
    pub(crate) lines: u32,
    /// Lines at once after a pause.
    pub(crate) burst: u32,
}

/// The connection to journald.
pub(crate) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// The failure was reported.
    failed: AtomicBool,
}

impl Journal {
    /// Uses the socket at `path`, which may not exist yet.
    pub(crate) fn at(path: &Path) -> io::Result<Arc<Self>> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Arc::new(Self {
            socket,
            path: path.to_owned(),
            failed: AtomicBool::new(false),
        }))
    }

    pub(super) fn send(&self, entry: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send_to(entry, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(drop),
            }
        }
    }

    /// Reports once that entries do not arrive.
    fn fail(&self, error: &io::Error) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::error!("{path}: {error}; lines are missing from the journal");
        }
    }
}

/// The result of sending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing more to send now.
    All,
    /// As many entries as requested were sent.
    Some,
    /// The journal is full: retry at that time.
    Full(Instant),
}

/// One console's lines for the journal.
pub(crate) struct Lines {
    filter: Filter,
    /// The fields of every entry, and the value of one more.
    fields: Vec<u8>,
    domain: String,
    /// The incomplete line.
    line: String,
    /// The rules that select lines; without them all lines are sent.
    watch: Option<Arc<Watch>>,
    /// The rules that matched the incomplete line.
    found: Found,
    /// Lines to send.
    ready: VecDeque<Line>,
    /// Number of all lines so far.
    taken: u64,
    rate: Rate,
    /// When the lines so far would all have been sent at the rate.
    earned: Option<Instant>,
    full_since: Option<Instant>,
    lost: u64,
    /// Lost lines that no entry has reported yet, and since when.
    untold: u64,
    since: Option<Instant>,
}

/// A line to send, and the rules that matched it.
struct Line {
    text: String,
    found: Option<(Arc<Watch>, Found)>,
}

impl Lines {
    /// All lines of a console, by its domain and its own name.
    pub(crate) fn new(domid: u16, domain: &str, console: &str, rate: Rate) -> Self {
        Self::named(["6", "vconsoled-guest"], domid, domain, console, rate)
    }

    /// The lines of a console that match rules.
    pub(crate) fn watched(
        watch: Watch,
        domid: u16,
        domain: &str,
        console: &str,
        rate: Rate,
    ) -> Self {
        Self {
            watch: Some(Arc::new(watch)),
            ..Self::named(["4", "vconsoled-watch"], domid, domain, console, rate)
        }
    }

    fn named(
        [priority, identifier]: [&str; 2],
        domid: u16,
        domain: &str,
        console: &str,
        rate: Rate,
    ) -> Self {
        let mut fields = Vec::new();
        field(&mut fields, "PRIORITY", priority.as_bytes());
        field(&mut fields, "SYSLOG_IDENTIFIER", identifier.as_bytes());
        field(&mut fields, "DOMID", domid.to_string().as_bytes());
        field(&mut fields, "CONSOLE", console.as_bytes());
        Self {
            domain: domain.to_owned(),
            // Always: otherwise the field is binary, which journalctl does not show.
            filter: Filter::new(Policy::File),
            fields,
            line: String::new(),
            watch: None,
            found: 0,
            ready: VecDeque::new(),
            taken: 0,
            rate,
            earned: None,
            full_since: None,
            lost: 0,
            untold: 0,
            since: None,
        }
    }

    /// Changes the rate.
    pub(crate) fn limit(&mut self, rate: Rate) {
        self.rate = rate;
    }

    /// Changes the domain's name.
    pub(crate) fn rename(&mut self, domain: &str) {
        domain.clone_into(&mut self.domain);
    }

    /// Changes the rules.
    pub(crate) fn watch(&mut self, watch: Watch) {
        (self.watch, self.found) = (Some(Arc::new(watch)), 0);
    }

    /// Whether rules select the lines.
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// Lines that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Number of all lines so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many of them are neither sent nor left out.
    pub(crate) fn waiting(&self) -> u64 {
        self.ready.len() as u64
    }

    /// Adds output. A carriage return ends a line too. Returns whether a line was
    /// split because it is too long.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let mut text = Vec::with_capacity(bytes.len());
        self.filter.push(bytes, &mut text);
        self.add(&String::from_utf8_lossy(&text))
    }

    /// Ends the output: an incomplete line is complete.
    pub(crate) fn finish(&mut self) {
        let mut text = Vec::new();
        self.filter.finish(&mut text);
        self.add(&String::from_utf8_lossy(&text));
        self.end_line();
        // The report is due now.
        self.since = None;
    }

    fn add(&mut self, text: &str) -> bool {
        let mut long = false;
        for part in text.split_inclusive(['\r', '\n']) {
            let mut rest = part.trim_end_matches(['\r', '\n']);
            let ends = rest.len() < part.len();
            while self.line.len() + rest.len() > LINE_MAX {
                let room = 0..=LINE_MAX - self.line.len();
                let cut = room.rev().find(|at| rest.is_char_boundary(*at));
                let (now, after) = rest.split_at(cut.unwrap_or(0));
                self.line.push_str(now);
                self.end_line();
                rest = after;
                long = true;
            }
            self.line.push_str(rest);
            if ends {
                self.end_line();
            }
        }
        long
    }

    fn end_line(&mut self) {
        if self.watch.is_some() {
            self.look();
        } else {
            let text = self.line.trim_ascii_end();
            if !text.is_empty() {
                let text = text.to_owned();
                self.ready.push_back(Line { text, found: None });
                self.taken += 1;
            }
        }
        self.line.clear();
        self.found = 0;
    }

    /// Matches the incomplete line against the rules; returns whether any rule matched.
    pub(crate) fn look(&mut self) -> bool {
        let watch = self.watch.as_ref().filter(|_| !self.line.is_empty());
        let found = watch.map_or(0, |watch| watch.look(&self.line, self.found));
        self.found |= found;
        if let Some(watch) = watch.filter(|_| found != 0) {
            self.ready.push_back(Line {
                text: self.line.trim_ascii_end().to_owned(),
                found: Some((Arc::clone(watch), found)),
            });
            self.taken += 1;
        }
        found != 0
    }

    /// Sends complete lines, at most `most`.
    pub(crate) fn send(&mut self, journal: &Journal, most: usize, now: Instant) -> Sent {
        for _ in 0..most {
            let report = self.since.is_none_or(|since| since + REPORT <= now);
            let note =
                (report && self.untold > 0).then(|| format!("[{} lines left out]", self.untold));
            let line = self.ready.front().filter(|_| note.is_none());
            let Some(text) = note.as_ref().or(line.map(|line| &line.text)) else {
                return Sent::All;
            };
            if line.is_some() && !self.is_within_rate(now) {
                self.lose(now);
                continue;
            }
            let mut entry = self.fields.clone();
            field(&mut entry, "DOMAIN", self.domain.as_bytes());
            if let Some((watch, found)) = line.and_then(|line| line.found.as_ref()) {
                for name in watch.names(*found) {
                    field(&mut entry, "VCONSOLED_WATCH", name.as_bytes());
                }
            }
            field(&mut entry, "MESSAGE", text.as_bytes());
            match journal.send(&entry) {
                Ok(()) => {
                    self.full_since = None;
                    journal.failed.store(false, Ordering::Relaxed);
                    if note.is_some() {
                        (self.untold, self.since) = (0, None);
                    } else {
                        self.ready.pop_front();
                        self.earn(now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.waits(now) => {
                    return Sent::Full(now + RETRY);
                }
                Err(error) => {
                    journal.fail(&error);
                    if note.is_some() {
                        self.since = Some(now);
                    } else {
                        self.lose(now);
                    }
                }
            }
        }
        Sent::Some
    }

    /// When to report left-out lines, if there are any.
    pub(crate) fn report(&self) -> Option<Instant> {
        let since = self.since.filter(|_| self.untold > 0);
        since.map(|since| since + REPORT)
    }

    /// Leaves out the next line.
    fn lose(&mut self, now: Instant) {
        self.ready.pop_front();
        self.miss(now);
    }

    /// Counts a lost line.
    pub(crate) fn miss(&mut self, now: Instant) {
        self.lost += 1;
        self.untold += 1;
        self.since.get_or_insert(now);
    }

    fn is_within_rate(&self, now: Instant) -> bool {
        let Rate { lines, burst } = self.rate;
        let Some(each) = Duration::from_secs(1).checked_div(lines) else {
            return true;
        };
        let ahead = self
            .earned
            .map(|earned| earned.saturating_duration_since(now));
        ahead.unwrap_or_default() + each <= each * burst.max(1)
    }

    fn earn(&mut self, now: Instant) {
        let each = Duration::from_secs(1).checked_div(self.rate.lines);
        let earned = self.earned.map_or(now, |earned| earned.max(now));
        self.earned = Some(earned + each.unwrap_or_default());
    }

    /// Whether to wait for a full journal.
    fn waits(&mut self, now: Instant) -> bool {
        let since = *self.full_since.get_or_insert(now);
        now.saturating_duration_since(since) < PATIENCE
    }
}

/// Adds a field in the form for arbitrary bytes: its name, the length of its
/// value, its value.
pub(super) fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod watched;
