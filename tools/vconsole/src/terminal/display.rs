// SPDX-License-Identifier: MIT
//! The user's view of a console: the guest's output, optionally filtered, and the
//! client's remarks.

use std::io;

use rustix::event::{PollFd, PollFlags};
use rustix::stdio::stdout;
use text_filter::{Filter, Policy};

use super::output::Output;

/// Standard output, and standard error for remarks if that is no terminal.
pub(crate) struct Display {
    output: Output,
    errors: Output,
    /// The console's name, for remarks apart from its output.
    name: String,
    /// Standard input and output are terminals.
    terminal: bool,
    filter: Option<Filter>,
    /// How many bytes of the next output are history.
    old: u64,
    replay: Filter,
}

impl Display {
    /// For the console of that name. `raw` is whether the user's keys come from a
    /// terminal.
    pub(crate) fn new(name: String, raw: bool, filter: bool) -> Self {
        Self {
            output: Output::stdout(),
            errors: Output::stderr(),
            name,
            terminal: raw && rustix::termios::isatty(stdout()),
            filter: filter.then(|| Filter::new(Policy::Terminal)),
            old: 0,
            replay: Filter::new(Policy::Replay),
        }
    }

    /// The next `count` bytes are history. A terminal must not answer queries in
    /// it: its answers would be typed.
    pub(crate) fn expect_history(&mut self, count: u64) {
        if self.terminal {
            self.old = count;
        }
    }

    /// Shows output of the guest.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let old = usize::try_from(self.old).map_or(bytes.len(), |old| old.min(bytes.len()));
        let (old, new) = bytes.split_at(old);
        let waiting = self.output.waiting();
        if let Some(filter) = &mut self.filter {
            filter.push(bytes, waiting);
        } else {
            self.replay.push(old, waiting);
            if self.old == old.len() as u64 {
                self.replay.finish(waiting);
            }
            waiting.extend_from_slice(new);
        }
        self.old -= old.len() as u64;
    }

    /// Skips history that is missing.
    pub(crate) fn skip(&mut self, count: u64) {
        self.old = self.old.saturating_sub(count);
    }

    /// A remark: within the guest's output at a terminal, otherwise on standard
    /// error. Without a reader it is dropped.
    pub(crate) fn remark(&mut self, what: &str) {
        if self.terminal {
            self.output.put(format!("\r\n[{what}]\r\n").as_bytes());
        } else if self.errors.has_room() {
            self.errors
                .put(format!("[{}: {what}]\n", self.name).as_bytes());
        }
    }

    /// The first remark to a user whose keys come from a terminal.
    pub(crate) fn greet(&mut self, what: &str) {
        let to = if self.terminal {
            &mut self.output
        } else {
            &mut self.errors
        };
        to.put(format!("[{what}]\r\n").as_bytes());
    }

    /// Lines for a user at a terminal.
    pub(crate) fn explain(&mut self, lines: &[String]) {
        for line in lines {
            self.output.put(format!("{line}\r\n").as_bytes());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.output.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.output.has_room()
    }

    /// What to poll: standard output first.
    pub(crate) fn interests(&self) -> Vec<PollFd<'_>> {
        let errors = (!self.errors.is_empty()).then(|| self.errors.interest());
        std::iter::once(self.output.interest())
            .chain(errors)
            .collect()
    }

    /// Handles the poll's events. An error means that standard output has no reader
    /// any more.
    pub(crate) fn serve(&mut self, output: PollFlags) -> io::Result<()> {
        if self.errors.flush().is_err() {
            self.errors.waiting().clear();
        }
        self.output.serve(output)
    }

    /// Writes as much as possible, without waiting for the next poll.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.serve(PollFlags::empty())
    }
}
