// SPDX-License-Identifier: MIT
//! Standard output and standard error without blocking: keys and signals are
//! handled even if a reader has stopped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, OFlags};
use rustix::net::SendFlags;
use rustix::stdio::{stderr, stdout};

/// How many bytes may wait before no more should be added.
const WAITING_MAX: usize = 64 * 1024;

/// One of the two streams, and its waiting bytes.
pub(crate) struct Output {
    fd: BorrowedFd<'static>,
    how: How,
    waiting: Vec<u8>,
}

/// How to write without blocking. The flag `O_NONBLOCK` is shared with the parent
/// process, so it is not changed.
enum How {
    /// A terminal or a pipe, through a separately opened descriptor.
    Own(File),
    /// A socket: each call has its own flag.
    Socket,
    /// A terminal or a pipe that could not be opened again, as after `su`: after
    /// poll(2), as many bytes as there is room for.
    Careful(usize),
    /// A file that never blocks.
    Plain,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self::of(stdout())
    }

    pub(crate) fn stderr() -> Self {
        Self::of(stderr())
    }

    fn of(fd: BorrowedFd<'static>) -> Self {
        Self {
            fd,
            how: How::of(fd),
            waiting: Vec::new(),
        }
    }

    /// Adds bytes, even beyond the limit.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The buffer for new bytes.
    pub(crate) fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Writes as much as possible.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            match self.write() {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<usize> {
        let bytes = &self.waiting[..];
        match &mut self.how {
            How::Own(own) => own.write(bytes),
            How::Socket => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(rustix::net::send(self.fd, bytes, flags)?)
            }
            How::Careful(most) => {
                let mut fds = [PollFd::from_borrowed_fd(self.fd, PollFlags::OUT)];
                if rustix::event::poll(&mut fds, Some(&Timespec::default()))? == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(rustix::io::write(
                    self.fd,
                    &bytes[..bytes.len().min(*most)],
                )?)
            }
            How::Plain => Ok(rustix::io::write(self.fd, bytes)?),
        }
    }

    /// What to poll: room if bytes wait, and the reader's end in any case.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::OUT, !self.waiting.is_empty());
        PollFd::from_borrowed_fd(self.fd, wanted)
    }

    /// Handles the events of [`interest`](Self::interest). An error means that
    /// there is no reader any more.
    pub(crate) fn serve(&mut self, happened: PollFlags) -> io::Result<()> {
        self.flush()?;
        if happened.intersects(PollFlags::ERR | PollFlags::HUP) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

impl How {
    fn of(fd: BorrowedFd<'_>) -> Self {
        let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let careful = match kind {
            Ok(FileType::Socket) => return Self::Socket,
            // A writable pipe has room for at least this many bytes (PIPE_BUF).
            Ok(FileType::Fifo) => 4096,
            _ if rustix::termios::isatty(fd) => 1,
            _ => return Self::Plain,
        };
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
            .map_or(Self::Careful(careful), Self::Own)
    }
}
