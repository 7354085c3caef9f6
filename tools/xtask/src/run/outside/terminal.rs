// SPDX-License-Identifier: MIT
//! A person at the machine's serial console: typing, reading, waiting.

use std::io::Write;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::engine::step::end_of;
use crate::rig::evidence::StandsStill;
use crate::rig::machine::{Machine, Output};

/// What Xen puts before a line of its own. As each CPU counts lines for itself,
/// it also stands wherever a guest's vCPU has moved: it is not shown here.
const MARK: &str = "(XEN) ";

/// What was shown, and how far it was read.
#[derive(Default)]
struct Screen {
    shown: String,
    read: usize,
    /// What may be the beginning of a mark.
    held: String,
}

impl Screen {
    fn show(&mut self, text: &str) {
        self.held += text;
        let part = (1..MARK.len())
            .rev()
            .find(|&length| self.held.ends_with(&MARK[..length]));
        let rest = self.held.split_off(self.held.len() - part.unwrap_or(0));
        self.shown += &std::mem::replace(&mut self.held, rest).replace(MARK, "");
    }

    /// Reads on to the end of `pattern`; the text before it.
    fn find(&mut self, pattern: &str) -> Option<String> {
        let before = self.shown[self.read..].split_once(pattern)?.0.to_owned();
        self.read += before.len() + pattern.len();
        Some(before)
    }
}

/// A running machine with somebody at its console.
pub(super) struct Terminal {
    machine: Machine,
    input: ChildStdin,
    log: PathBuf,
    screen: Screen,
}

impl Terminal {
    /// Sits down at a machine whose console is logged in `log`.
    pub(super) fn new(mut machine: Machine, log: PathBuf) -> Result<Self> {
        let input = machine.take_input().context("the machine has no input")?;
        Ok(Self {
            machine,
            input,
            log,
            screen: Screen::default(),
        })
    }

    /// Types text.
    pub(super) fn send(&mut self, text: &str) -> Result<()> {
        self.input.write_all(text.as_bytes())?;
        self.input.flush().context("typing at the console")
    }

    /// Waits until `pattern` is shown; the text between it and the last one.
    pub(super) fn expect(&mut self, pattern: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(before) = self.screen.find(pattern) {
                return Ok(before);
            }
            match self.machine.next(deadline) {
                // What is waited for is ASCII; a kernel's log is too.
                Ok(Some(Output::Console(bytes))) => {
                    self.screen.show(&String::from_utf8_lossy(&bytes));
                }
                Ok(Some(Output::Event(_) | Output::Complaint(_))) => {}
                Ok(None) => bail!(
                    "waiting for {pattern:?}: the machine went off; {}",
                    end_of(&self.log)
                ),
                Err(error) => {
                    let about = format!("waiting for {pattern:?}: {error}");
                    bail!(StandsStill::of(
                        &mut self.machine,
                        &mut self.input,
                        &self.log,
                        &about
                    ));
                }
            }
        }
    }

    /// Everything shown so far, but for Xen's marks.
    pub(super) fn shown(&self) -> &str {
        &self.screen.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_found_again() {
        let mut screen = Screen::default();
        assert_eq!(screen.find("# "), None);
        screen.show("a# b");
        assert_eq!(screen.find("# "), Some("a".into()));
        assert_eq!(screen.find("# "), None);
        screen.show("# ");
        assert_eq!(screen.find("# "), Some("b".into()));
    }

    #[test]
    fn marks_are_not_shown_however_they_are_cut() {
        let mut screen = Screen::default();
        for text in ["(XE", "N) one (X", ") t(XEN) ", "wo", " ("] {
            screen.show(text);
        }
        assert_eq!(screen.shown, "one (X) two ");
    }
}
