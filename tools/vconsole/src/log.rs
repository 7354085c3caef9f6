// SPDX-License-Identifier: MIT
//! `vconsole log`: what a console said, from its log file, across rotation, or
//! for want of one from the daemon's memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use console_proto::frame::{Decoder, Frame};
use console_proto::{Attach, Domain, Mode};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::choose::Choice;
use crate::daemon::{Daemon, Row};
use crate::output::Output;
use crate::signals::Signals;

/// How often a followed log is looked at.
const PERIOD: Duration = Duration::from_millis(100);
/// The most rotated files that are looked for.
const ROTATED_MAX: u32 = 1000;

/// Prints, and follows if told to, until it ends or a signal comes.
pub(crate) fn print(
    daemon: &Daemon,
    rows: &[Row],
    choice: &Choice,
    follow: bool,
    filter: bool,
) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let mut printer = Printer {
        output: Output::new(filter),
        signals,
    };
    let log = rows
        .iter()
        .find(|row| row.domid == choice.domid && row.console == choice.console)
        .map(|row| row.log.as_str())
        .filter(|log| !log.is_empty());
    match log {
        Some(log) => printer.file(Path::new(log), follow),
        None => printer.memory(daemon, choice, follow),
    }
}

struct Printer {
    output: Output,
    signals: Signals,
}

impl Printer {
    /// Prints a log and the files it was before, oldest first.
    fn file(&mut self, path: &Path, follow: bool) -> anyhow::Result<()> {
        let mut files: Vec<(PathBuf, File)> = Vec::new();
        for number in (1..=ROTATED_MAX).map_while(|number| open(rotated(path, number))) {
            files.insert(0, number);
        }
        files.extend(open(path.to_owned()));
        if files.is_empty() {
            File::open(path).with_context(|| path.display().to_string())?;
        }
        let mut current = None;
        for (name, mut file) in files {
            if !self
                .rest(&mut file)
                .with_context(|| name.display().to_string())?
            {
                return Ok(());
            }
            current = Some(file);
        }
        while let Some(mut file) = current.take().filter(|_| follow) {
            if self.wait(None, Some(PERIOD))? {
                break;
            }
            // Looked at before the rest is read: what comes after that look
            // is in the next file, or in the next round.
            let newer = newer_than(path, &file);
            if !self.rest(&mut file)? {
                break;
            }
            current = Some(file);
            for mut file in newer {
                if !self.rest(&mut file)? {
                    return Ok(());
                }
                current = Some(file);
            }
        }
        Ok(())
    }

    /// Prints what is left of a file; `false` when told to stop.
    fn rest(&mut self, file: &mut File) -> anyhow::Result<bool> {
        let mut buffer = [0; 16384];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(length) => self.output.put(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
            if !self.drain()? {
                return Ok(false);
            }
        }
    }

    /// Prints what the daemon remembers.
    fn memory(&mut self, daemon: &Daemon, choice: &Choice, follow: bool) -> anyhow::Result<()> {
        let wanted = Attach {
            domain: Domain::Id(choice.domid),
            console: choice.console.clone(),
            mode: Mode::ReadOnly,
            scrollback: Some(u64::MAX),
            resume: None,
        };
        let (attached, mut stream) = daemon
            .attach(&wanted)
            .map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        let mut position = attached.position;
        let mut decoder = Decoder::default();
        while follow || position < attached.end {
            if self.wait(Some(&stream), None)? {
                break;
            }
            let mut buffer = [0; 16384];
            let length = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error).context("the daemon's stream"),
            };
            let frames = decoder.push(&buffer[..length]);
            for frame in frames.map_err(|what| anyhow::anyhow!("the daemon sent {what}"))? {
                match frame {
                    Frame::Data(bytes) => {
                        position += bytes.len() as u64;
                        self.output.put(&bytes);
                    }
                    Frame::Lost(count) => {
                        position += count;
                        self.output.remark(&format!("\r\n[{count} bytes lost]\r\n"));
                    }
                    Frame::Ended(_) => return self.drain().map(drop),
                    Frame::Mode(_) => {}
                }
            }
            if !self.drain()? {
                break;
            }
        }
        Ok(())
    }

    /// Prints what waits; `false` when told to stop.
    fn drain(&mut self) -> anyhow::Result<bool> {
        loop {
            self.output.flush().context("standard output")?;
            if self.output.is_empty() {
                return Ok(true);
            }
            if self.wait(None, None)? {
                return Ok(false);
            }
        }
    }

    /// Waits for the stream, for room on standard output if there is too
    /// little, or for so long; `true` when told to stop.
    fn wait(&mut self, stream: Option<&UnixStream>, limit: Option<Duration>) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if !self.output.is_empty() {
            fds.push(PollFd::new(&self.output, PollFlags::OUT));
        }
        if let Some(stream) = stream {
            fds.push(PollFd::new(stream, PollFlags::IN));
        }
        let limit = limit.map(Timespec::try_from).transpose();
        let limit = limit.map_err(|_| io::ErrorKind::InvalidInput)?;
        match rustix::event::poll(&mut fds, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[0].revents().is_empty() {
            return Ok(false);
        }
        self.signals.heed()
    }
}

/// The name of a log that was rotated so many times.
fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn open(path: PathBuf) -> Option<(PathBuf, File)> {
    File::open(&path).ok().map(|file| (path, file))
}

/// The files that a log became after `file`, oldest first: none while it is
/// the log still.
fn newer_than(path: &Path, file: &File) -> Vec<File> {
    let Ok(ours) = file.metadata() else {
        return Vec::new();
    };
    let names = std::iter::once(path.to_owned())
        .chain((1..=ROTATED_MAX).map(|number| rotated(path, number)));
    let mut newer = Vec::new();
    for candidate in names.map_while(|name| File::open(name).ok()) {
        let Ok(theirs) = candidate.metadata() else {
            break;
        };
        // If ours was removed or given another name, time tells.
        let same = (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino());
        let older = (theirs.mtime(), theirs.mtime_nsec()) < (ours.mtime(), ours.mtime_nsec());
        if same || older {
            break;
        }
        newer.insert(0, candidate);
    }
    newer
}
