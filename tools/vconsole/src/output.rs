// SPDX-License-Identifier: MIT
//! Standard output that never holds the program up: a terminal that was
//! stopped must not keep it from hearing the user, or a signal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{FileType, OFlags};
use rustix::stdio::stdout;

use crate::filter::Filter;

/// Bytes that may wait before no more is to be put in.
const WAITING_MAX: usize = 64 * 1024;

/// Standard output, and what waits for it.
pub(crate) struct Output {
    /// A descriptor of our own, where there can be one: the setting not to
    /// block would else be shared with whoever started us.
    own: Option<File>,
    waiting: Vec<u8>,
    filter: Option<Filter>,
}

impl Output {
    pub(crate) fn new(filter: bool) -> Self {
        Self {
            own: reopen(),
            waiting: Vec::new(),
            filter: filter.then(Filter::default),
        }
    }

    /// Puts in what the guest said.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        match &mut self.filter {
            Some(filter) => filter.pass(bytes, &mut self.waiting),
            None => self.waiting.extend_from_slice(bytes),
        }
    }

    /// Puts in a word of our own.
    pub(crate) fn remark(&mut self, text: &str) {
        self.waiting.extend_from_slice(text.as_bytes());
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
            let written = match &mut self.own {
                Some(own) => own.write(&self.waiting),
                None => rustix::io::write(stdout(), &self.waiting).map_err(io::Error::from),
            };
            match written {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.own {
            Some(own) => own.as_fd(),
            None => stdout(),
        }
    }
}

/// Opens standard output once more, if it is a terminal or a pipe. A file's
/// position could not be kept, and it does not hold anybody up.
fn reopen() -> Option<File> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(stdout()).ok()?.st_mode);
    if kind != FileType::Fifo && !rustix::termios::isatty(stdout()) {
        return None;
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .write(true)
        .custom_flags(i32::try_from(flags.bits()).ok()?)
        .open("/proc/self/fd/1")
        .ok()
}
