// SPDX-License-Identifier: MIT
//! The user: opens a console's pty, as `xl console` does, and types.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::fs::OFlags;
use xen_io::DomId;
use xen_io::fake::Machine;

use crate::guest::PROMPT;

const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(2);

/// An open console.
pub(crate) struct Terminal {
    pty: File,
    /// Output that was not examined yet.
    shown: String,
}

impl Terminal {
    /// Opens a console (`console` or `vuart/0`) by its `tty` node in xenstore.
    pub(crate) fn open(machine: &Machine, domid: DomId, console: &str) -> Result<Self> {
        let path = format!("/local/domain/{domid}/{console}/tty");
        let mut store = machine.toolstack()?;
        let deadline = Instant::now() + PATIENCE;
        let name = loop {
            match store.read(&path)? {
                Some(name) if !name.is_empty() => break String::from_utf8(name)?,
                _ => ensure!(Instant::now() < deadline, "no daemon serves {path}"),
            }
            std::thread::sleep(TICK);
        };
        let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
        let pty = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags)
            .open(&name)
            .with_context(|| format!("opening {name}"))?;
        Ok(Self {
            pty,
            shown: String::new(),
        })
    }

    /// Types a command at a prompt. Returns the output from that prompt to the
    /// next.
    pub(crate) fn command(&mut self, command: &str) -> Result<String> {
        self.prompt()?;
        self.pty.write_all(format!("{command}\r").as_bytes())?;
        let shown = self.prompt()?;
        self.shown.insert_str(0, PROMPT);
        Ok(format!("{PROMPT}{}", shown.replace("\r\n", "\n")))
    }

    /// The output before the next prompt.
    fn prompt(&mut self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            if let Some((before, after)) = self.shown.split_once(PROMPT) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.shown = after;
                return Ok(before);
            }
            match self.pty.read(&mut buffer) {
                Ok(length) => self
                    .shown
                    .push_str(&String::from_utf8_lossy(&buffer[..length])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(TICK),
                Err(error) => return Err(error).context("reading the pty"),
            }
            ensure!(
                Instant::now() < deadline,
                "no prompt; shown: {:?}",
                self.shown
            );
        }
    }
}
