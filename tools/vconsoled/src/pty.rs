// SPDX-License-Identifier: MIT
//! The terminal that viewers open.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

/// A raw, non-blocking pseudo-terminal.
pub(crate) struct Pty {
    master: OwnedFd,
    /// Held so that the master does not hang up when the last viewer leaves,
    /// and so that what is typed meanwhile is not lost.
    _slave: OwnedFd,
    name: String,
}

impl Pty {
    pub(crate) fn open() -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        let mut termios = rustix::termios::tcgetattr(&slave)?;
        termios.make_raw();
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &termios)?;
        rustix::fs::fchmod(&slave, Mode::RUSR | Mode::WUSR)?;
        let status = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, status | OFlags::NONBLOCK)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let name = name.into_string().map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self {
            master,
            _slave: slave,
            name,
        })
    }

    /// The path that viewers open.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes what viewers typed; `None` when there is nothing.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        would_block(rustix::io::read(&self.master, buffer))
    }

    /// Gives bytes to viewers; `None` when there is no room.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        would_block(rustix::io::write(&self.master, bytes))
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn would_block(result: rustix::io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(0) | Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Ok(length) => Ok(Some(length)),
        Err(errno) => Err(errno.into()),
    }
}
