// SPDX-License-Identifier: MIT
//! The terminal that viewers open. The daemon keeps only the master, so the
//! kernel reports a hangup exactly while no viewer has the terminal open.

pub(crate) mod open_state;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, OptionalActions};

use crate::input::journal::{InputJournal, Recipient};

/// What an empty pty takes at once (Linux, `pty.c`).
pub(crate) const ROOM: usize = 8 * 1024;

/// A raw, non-blocking pseudo-terminal.
pub(crate) struct Pty {
    master: OwnedFd,
    /// Whether it was open at the last check.
    open: bool,
    /// Whether the kernel reports when it is opened.
    watched: bool,
    name: String,
    label: String,
}

impl Pty {
    /// Opens a new pty. `label` is the console's name in the fd store.
    pub(crate) fn open(label: &str) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        Self::around(master, label)
    }

    /// Resumes another process's master. Other descriptors are an error.
    pub(crate) fn resume(master: OwnedFd, label: &str) -> io::Result<Self> {
        Self::around(master, label)
    }

    fn around(master: OwnedFd, label: &str) -> io::Result<Self> {
        let open_flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        // If the master was opened in a mount namespace that is gone, such as one
        // that a service manager makes per daemon, the peer ioctl fails.
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)
            .or_else(|_| rustix::fs::open(&name, open_flags, Mode::empty()))?;
        let mut termios = rustix::termios::tcgetattr(&slave)?;
        termios.make_raw();
        rustix::termios::tcsetattr(&slave, OptionalActions::Now, &termios)?;
        rustix::fs::fchmod(&slave, Mode::RUSR | Mode::WUSR)?;
        let status = rustix::fs::fcntl_getfl(&master)?;
        rustix::fs::fcntl_setfl(&master, status | OFlags::NONBLOCK)?;
        let name = name.into_string().map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self {
            master,
            open: false,
            watched: true,
            name,
            label: label.to_owned(),
        })
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The path that viewers open.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a viewer had it open at the last check.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Checks whether it is open.
    pub(crate) fn look(&mut self) {
        // If that is unknown it counts as open: a write in vain is better than
        // withheld output.
        self.open = !self.watched || !self.is_hung_up().unwrap_or(false);
    }

    /// Opens are not reported: it always counts as open.
    pub(crate) fn assume_open(&mut self) {
        self.watched = false;
        self.look();
    }

    fn is_hung_up(&self) -> io::Result<bool> {
        let mut fds = [PollFd::new(&self.master, PollFlags::empty())];
        rustix::event::poll(&mut fds, Some(&Timespec::default()))?;
        Ok(fds[0].revents().contains(PollFlags::HUP))
    }

    /// Reads input, through the input journal if there is one; `None` if there is
    /// none.
    pub(crate) fn read(
        &self,
        buffer: &mut [u8],
        input_journal: Option<(&InputJournal, Recipient)>,
    ) -> io::Result<Option<usize>> {
        would_block(match input_journal {
            Some((input_journal, recipient)) => input_journal.take(recipient, &self.master, buffer),
            None => rustix::io::read(&self.master, buffer).map_err(io::Error::from),
        })
    }

    /// Writes output; `None` if there is no room.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.end_echo()?;
        would_block(rustix::io::write(&self.master, bytes).map_err(io::Error::from))
    }

    /// A viewer may enable echo: then output would come back as input.
    fn end_echo(&self) -> io::Result<()> {
        let echo = LocalModes::ECHO | LocalModes::ECHONL;
        let mut termios = rustix::termios::tcgetattr(&self.master)?;
        if termios.local_modes.intersects(echo) {
            termios.local_modes.remove(echo);
            rustix::termios::tcsetattr(&self.master, OptionalActions::Now, &termios)?;
        }
        Ok(())
    }
}

impl AsFd for Pty {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

fn would_block(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(0) => Ok(None),
        Ok(length) => Ok(Some(length)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            // It is not open, and all earlier input was read.
            _ if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(None),
            _ => Err(error),
        },
    }
}
