// SPDX-License-Identifier: MIT
//! Detects which ptys were opened. A pty reports that its last viewer left, but
//! not that the first one came, so the kernel is asked to report opens. It merges
//! equal reports: they show which pty to check, and are not counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Watches ptys being opened.
pub(crate) struct OpenStates {
    inotify: OwnedFd,
    watched: BTreeMap<i32, usize>,
}

/// A watch on one pty.
pub(crate) struct Watch(i32);

impl OpenStates {
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self {
            inotify,
            watched: BTreeMap::new(),
        })
    }

    /// Starts watching the pty of a console. It may have been opened before.
    pub(crate) fn watch(&mut self, pty: &str, console: usize) -> io::Result<Watch> {
        let watch = inotify::add_watch(&self.inotify, pty, WatchFlags::OPEN)?;
        self.watched.insert(watch, console);
        Ok(Watch(watch))
    }

    /// Stops watching.
    pub(crate) fn unwatch(&mut self, watch: &Watch) {
        self.watched.remove(&watch.0);
        // The kernel removes a watch with its pty; either way it is gone.
        let _gone = inotify::remove_watch(&self.inotify, watch.0);
    }

    /// The consoles whose ptys may have been opened since the last call.
    pub(crate) fn opened(&mut self) -> io::Result<BTreeSet<usize>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut opened = BTreeSet::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(opened),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                opened.extend(self.watched.values());
            }
            opened.extend(self.watched.get(&event.wd()));
        }
    }
}

impl AsFd for OpenStates {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
