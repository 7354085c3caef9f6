// SPDX-License-Identifier: MIT
//! A user at the machine's serial console: typing, reading, waiting.

use std::borrow::Cow;
use std::io::Write;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use steps::end_of;
use terminal::Screen;

use crate::rig::evidence::StandsStill;
use crate::rig::machine::{Machine, Output};
use crate::rig::typing::Input;

/// Xen's prefix for its own lines. As each CPU counts lines for itself, it also appears
/// wherever a guest's vCPU has moved: it is left out here.
const MARK: &str = "(XEN) ";

/// Removes marks, also if they arrive in pieces.
#[derive(Default)]
struct Unmarked {
    /// A possible beginning of a mark.
    held: String,
}

impl Unmarked {
    fn text(&mut self, text: &str) -> String {
        self.held += text;
        let part = (1..MARK.len())
            .rev()
            .find(|&length| self.held.ends_with(&MARK[..length]));
        let rest = self.held.split_off(self.held.len() - part.unwrap_or(0));
        std::mem::replace(&mut self.held, rest).replace(MARK, "")
    }
}

/// A running machine with a user at its console.
pub(crate) struct Terminal {
    machine: Machine,
    input: Input<ChildStdin>,
    log: PathBuf,
    unmarked: Unmarked,
    screen: Screen,
    /// QEMU's own messages.
    complaints: String,
}

impl Terminal {
    /// Connects to a machine whose console is logged in `log`.
    pub(crate) fn new(mut machine: Machine, log: PathBuf) -> Result<Self> {
        let input = machine.take_input().context("the machine has no input")?;
        Ok(Self {
            machine,
            input,
            log,
            unmarked: Unmarked::default(),
            screen: Screen::default(),
            complaints: String::new(),
        })
    }

    /// Types text, as fast as it is read.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        let typed = self.input.type_in(text.as_bytes());
        typed.context("typing at the console")
    }

    /// Types text at once, even if it does not fit.
    pub(crate) fn flood(&mut self, text: &str) -> Result<()> {
        self.input.write_all(text.as_bytes())?;
        self.input.flush().context("typing at the console")
    }

    /// Waits until `pattern` is shown; returns the text between it and the last one.
    pub(crate) fn expect(&mut self, pattern: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut skip = 0;
        loop {
            if let Some((_, before)) = self.screen.find(&[pattern.as_bytes()], &mut skip) {
                return Ok(String::from_utf8_lossy(&before).into_owned());
            }
            match self.machine.next(deadline) {
                // The pattern is ASCII, and so is a kernel's log.
                Ok(Some(Output::Console(bytes))) => {
                    let text = self.unmarked.text(&String::from_utf8_lossy(&bytes));
                    self.screen.show(text.as_bytes());
                }
                Ok(Some(Output::Complaint(line))) => {
                    self.complaints.push_str("; ");
                    self.complaints.push_str(&line);
                }
                Ok(Some(Output::Event(_))) => {}
                Ok(None) => bail!(
                    "waiting for {pattern:?}: the machine has ended{}; {}",
                    self.complaints,
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

    /// Everything shown so far, without Xen's marks.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.screen.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_not_shown_however_they_are_cut() {
        let mut unmarked = Unmarked::default();
        let shown = ["(XE", "N) one (X", ") t(XEN) ", "wo", " ("].map(|text| unmarked.text(text));
        assert_eq!(shown.concat(), "one (X) two ");
    }
}
