// SPDX-License-Identifier: MIT
//! A console's pty in dom0, opened without a client in between.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::console::Line;

/// The pty, raw.
#[derive(Debug)]
pub(crate) struct Tty(File);

impl Tty {
    /// Opens the pty of a guest's console when it is announced.
    pub(crate) fn open(domid: u16, line: Line) -> Result<Self> {
        let path = line.pty(domid)?;
        Self::at(&path).with_context(|| format!("opening {path}"))
    }

    /// Opens a terminal and makes it raw.
    pub(crate) fn at(path: &str) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let mut mode = tcgetattr(&file)?;
        mode.make_raw();
        tcsetattr(&file, OptionalActions::Now, &mode)?;
        Ok(Self(file))
    }

    /// Drops the output so far.
    pub(crate) fn discard(&mut self) {
        while matches!(self.0.read(&mut [0; 4096]), Ok(1..)) {}
    }

    /// Reads as many bytes as `buffer` holds.
    pub(crate) fn read_exact(&mut self, buffer: &mut [u8], limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) => bail!("the console ended after {filled} bytes"),
                Ok(read) => filled += read,
                Err(error) => self.wait(error, PollFlags::IN, end)?,
            }
        }
        Ok(())
    }

    /// Reads up to the end of `mark`, which must arrive.
    pub(crate) fn read_to(&mut self, mark: &[u8], limit: Duration) -> Result<Vec<u8>> {
        let end = Instant::now() + limit;
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        // Each byte is searched once: this runs beside the measured work.
        let mut looked_at = 0;
        loop {
            let fresh = &seen[looked_at..];
            if fresh.windows(mark.len()).any(|part| part == mark) {
                return Ok(seen);
            }
            looked_at = (seen.len() + 1).saturating_sub(mark.len()).max(looked_at);
            match self.0.read(&mut buffer) {
                Ok(0) => bail!("the console ended after {} bytes", seen.len()),
                Ok(read) => seen.extend_from_slice(&buffer[..read]),
                Err(error) => self.wait(error, PollFlags::IN, end)?,
            }
        }
    }

    /// Writes all bytes.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8], limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) => self.wait(error, PollFlags::OUT, end)?,
            }
        }
        Ok(())
    }

    /// Waits until the operation would not block.
    fn wait(&self, error: io::Error, flags: PollFlags, end: Instant) -> Result<()> {
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(error.into());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("the console printed nothing for too long");
        }
        let left = Timespec::try_from(left)?;
        poll(&mut [PollFd::new(&self.0, flags)], Some(&left))?;
        Ok(())
    }
}
