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
    /// Whose output it is, for remarks that stand apart from it.
    name: String,
    /// The user sits at it.
    terminal: bool,
    filter: Option<Filter>,
    /// Of the output to come, so much was said before.
    old: u64,
    replay: Filter,
}

impl Display {
    /// Of the console of that name. `raw` is whether the user's keys come from
    /// a terminal.
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

    /// Says that the next `count` bytes are history: a terminal is not to
    /// answer the questions in it, as its answers would be typed.
    pub(crate) fn expect_history(&mut self, count: u64) {
        if self.terminal {
            self.old = count;
        }
    }

    /// Puts in what the guest said.
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

    /// Accounts for history that is missing.
    pub(crate) fn skip(&mut self, count: u64) {
        self.old = self.old.saturating_sub(count);
    }

    /// A word to the user: where the guest's output is shown, for one at a
    /// terminal; else apart from it. Without a reader it is dropped.
    pub(crate) fn remark(&mut self, what: &str) {
        if self.terminal {
            self.output.put(format!("\r\n[{what}]\r\n").as_bytes());
        } else if self.errors.has_room() {
            self.errors
                .put(format!("[{}: {what}]\n", self.name).as_bytes());
        }
    }

    /// The first word to a user whose keys come from a terminal.
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

    /// To wait for: standard output first.
    pub(crate) fn interests(&self) -> Vec<PollFd<'_>> {
        let errors = (!self.errors.is_empty()).then(|| self.errors.interest());
        std::iter::once(self.output.interest())
            .chain(errors)
            .collect()
    }

    /// Goes on after these were waited for. An error is the end: nobody reads
    /// standard output any more.
    pub(crate) fn serve(&mut self, output: PollFlags) -> io::Result<()> {
        if self.errors.flush().is_err() {
            self.errors.waiting().clear();
        }
        self.output.serve(output)
    }

    /// Writes what can be written: a byte should not wait for another round.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.serve(PollFlags::empty())
    }
}
