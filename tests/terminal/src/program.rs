// SPDX-License-Identifier: MIT
//! Programs that are run as a user runs them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions, Winsize};

use crate::{PATIENCE, wait_for};

/// A running program, killed when dropped.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts it between pipes.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn piped(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self::start(command)
    }

    /// Starts it with the command's own standard streams.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child }
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    ///
    /// When it accepts no input.
    pub fn write(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    /// Closes its standard input.
    pub fn close(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Reads exactly so many bytes of its standard output.
    ///
    /// # Panics
    ///
    /// When fewer arrive in time.
    pub fn read(&mut self, length: usize) -> Vec<u8> {
        match read(self.child.stdout.as_mut().expect("a pipe"), length) {
            Ok(bytes) => bytes,
            Err(why) => panic!("{why}; said: {:?}", self.last_output()),
        }
    }

    /// Reads its standard error up to `end`.
    ///
    /// # Panics
    ///
    /// When `end` does not arrive in time.
    pub fn complaint(&mut self, end: &str) -> String {
        read_until(self.child.stderr.as_mut().expect("a pipe"), end)
    }

    /// Kills it; returns its standard error.
    fn last_output(&mut self) -> String {
        let _gone = self.child.kill();
        let mut words = Vec::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _read = stderr.read_to_end(&mut words);
        }
        String::from_utf8_lossy(&words).into_owned()
    }

    /// Reads the rest of its standard output.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        stdout.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// When the process has ended.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the program's end", || self.child.try_wait().unwrap())
    }

    /// Waits until it is stopped by job control.
    ///
    /// # Panics
    ///
    /// When it is not stopped in time.
    pub fn until_stopped(&self) {
        let path = format!("/proc/{}/stat", self.child.id());
        wait_for("a stopped program", || {
            let stat = std::fs::read_to_string(&path).unwrap();
            stat.contains(") T ").then_some(())
        });
    }

    /// Whether it runs.
    ///
    /// # Panics
    ///
    /// When that is unknown.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A user's terminal; the program has its inner end.
pub struct Terminal {
    /// The user's end.
    pub outer: File,
    inner: OwnedFd,
}

impl Terminal {
    /// A new terminal with the modes of a login.
    ///
    /// # Panics
    ///
    /// When the system provides none.
    #[must_use]
    pub fn open() -> Self {
        let terminal = Self::try_open().unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&terminal.inner, size).unwrap();
        terminal
    }

    /// A new terminal in raw mode.
    ///
    /// # Panics
    ///
    /// When the system provides none.
    #[must_use]
    pub fn raw() -> Self {
        let terminal = Self::try_open().unwrap();
        terminal.make_raw().unwrap();
        terminal
    }

    /// A new terminal with the system's default modes.
    pub fn try_open() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let outer = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&outer)?;
        rustix::pty::unlockpt(&outer)?;
        let inner = rustix::pty::ioctl_tiocgptpeer(&outer, flags)?;
        let outer = outer.into();
        Ok(Self { outer, inner })
    }

    /// Sets raw mode: every byte passes unchanged.
    pub fn make_raw(&self) -> io::Result<()> {
        let mut modes = rustix::termios::tcgetattr(&self.inner)?;
        modes.make_raw();
        Ok(rustix::termios::tcsetattr(
            &self.inner,
            OptionalActions::Now,
            &modes,
        )?)
    }

    /// Both ends, the user's first.
    #[must_use]
    pub fn into_ends(self) -> (File, OwnedFd) {
        (self.outer, self.inner)
    }

    /// The path of the inner end.
    ///
    /// # Panics
    ///
    /// When the terminal is closed.
    #[must_use]
    pub fn name(&self) -> String {
        let name = rustix::pty::ptsname(&self.outer, Vec::new()).unwrap();
        name.into_string().unwrap()
    }

    /// Runs a program in it.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, mut command: Command) -> Program {
        command
            .stdin(self.end())
            .stdout(self.end())
            .stderr(self.end());
        Program::start(command)
    }

    /// A copy of the inner end, for a program.
    ///
    /// # Panics
    ///
    /// When there are too many descriptors.
    #[must_use]
    pub fn end(&self) -> OwnedFd {
        self.inner.try_clone().unwrap()
    }

    /// Types bytes.
    ///
    /// # Panics
    ///
    /// When the terminal is closed.
    pub fn write(&mut self, bytes: &[u8]) {
        self.outer.write_all(bytes).unwrap();
    }

    /// Reads exactly so many bytes of the output.
    ///
    /// # Panics
    ///
    /// When fewer arrive in time.
    pub fn read(&mut self, length: usize) -> Vec<u8> {
        read(&mut self.outer, length).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Reads the output up to `end`.
    ///
    /// # Panics
    ///
    /// When `end` does not arrive in time.
    pub fn until(&mut self, end: &str) -> String {
        read_until(&mut self.outer, end)
    }

    /// Sets the modes that a shell restores for itself.
    ///
    /// # Panics
    ///
    /// When the terminal is closed.
    pub fn cook(&self) {
        let mut modes = rustix::termios::tcgetattr(&self.inner).unwrap();
        modes.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        rustix::termios::tcsetattr(&self.inner, OptionalActions::Now, &modes).unwrap();
    }

    /// Whether it has the modes of a login: lines, with echo.
    ///
    /// # Panics
    ///
    /// When the terminal is closed.
    #[must_use]
    pub fn is_cooked(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.inner).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }
}

/// Whether there is something to read, or an end, within the limit.
///
/// # Panics
///
/// When that is unknown.
#[must_use]
pub fn is_ready(fd: &impl AsFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).unwrap();
    rustix::event::poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&limit)).unwrap() > 0
}

fn ready(fd: &impl AsFd, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    is_ready(fd, left.max(Duration::from_millis(1)))
}

fn read(source: &mut (impl Read + AsFd), length: usize) -> Result<Vec<u8>, String> {
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = vec![0; length];
    let mut at = 0;
    while at < length {
        let got = if ready(source, deadline) {
            source.read(&mut bytes[at..]).unwrap()
        } else {
            0
        };
        if got == 0 {
            let so_far = String::from_utf8_lossy(&bytes[..at.min(100)]);
            return Err(format!("{at} of {length} bytes came: {so_far:?}"));
        }
        at += got;
    }
    Ok(bytes)
}

fn read_until(source: &mut (impl Read + AsFd), end: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let so_far = String::from_utf8_lossy(&text).into_owned();
        assert!(ready(source, deadline), "no {end:?}: {so_far:?}");
        let mut byte = [0];
        let got = source.read(&mut byte);
        assert!(
            got.is_ok_and(|got| got > 0),
            "an end before {end:?}: {so_far:?}"
        );
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}
