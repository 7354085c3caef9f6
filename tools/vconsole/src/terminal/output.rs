// SPDX-License-Identifier: MIT
//! Standard output and standard error, without waiting for their readers: keys and
//! signals are handled even if a reader has stopped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, OFlags};
use rustix::net::SendFlags;
use rustix::stdio::{stderr, stdout};

/// Bytes that may wait before no more is to be put in.
const WAITING_MAX: usize = 64 * 1024;

/// One of the two, and what waits for it.
pub(crate) struct Output {
    fd: BorrowedFd<'static>,
    how: How,
    waiting: Vec<u8>,
}

/// How to write without waiting. The setting not to wait is shared with
/// whoever started us, so it is not touched.
enum How {
    /// A terminal or a pipe, through a descriptor of our own.
    Own(File),
    /// A socket, where each call can say so.
    Socket,
    /// A terminal or a pipe that could not be opened once more, as after `su`:
    /// as many bytes at once as there is room for when poll(2) tells of any.
    Careful(usize),
    /// Something that keeps nobody waiting.
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

    /// Puts in bytes, whatever waits already.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Where to put bytes in.
    pub(crate) fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_MAX
    }

    /// Writes what can be written.
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

    /// To wait for: room if something waits, and its reader's end in any case.
    pub(crate) fn interest(&self) -> PollFd<'_> {
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::OUT, !self.waiting.is_empty());
        PollFd::from_borrowed_fd(self.fd, wanted)
    }

    /// Goes on after [`interest`](Self::interest) was waited for. An error is
    /// the end: nobody reads any more.
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
            // Room for one page is room for so much (PIPE_BUF).
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
