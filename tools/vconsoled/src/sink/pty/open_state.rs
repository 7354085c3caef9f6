// SPDX-License-Identifier: MIT
//! Who has a pty open. Output waits for a viewer in our own memory, where its
//! amount is bounded and the newest is kept, rather than in the terminal's.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Watches ptys being opened and closed.
pub(crate) struct OpenStates {
    inotify: OwnedFd,
    watched: BTreeMap<i32, usize>,
}

/// A change in how often the pty of a console is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Somebody opened the pty of the console.
    Opened(usize),
    /// Somebody closed it.
    Closed(usize),
    /// Changes were lost.
    Unknown,
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

    /// Starts watching the pty of a console.
    pub(crate) fn watch(&mut self, pty: &str, console: usize) -> io::Result<Watch> {
        let flags = WatchFlags::OPEN | WatchFlags::CLOSE;
        let watch = inotify::add_watch(&self.inotify, pty, flags)?;
        self.watched.insert(watch, console);
        Ok(Watch(watch))
    }

    /// Stops watching.
    pub(crate) fn unwatch(&mut self, watch: &Watch) {
        self.watched.remove(&watch.0);
        // The kernel drops a watch with its pty; either way it is gone.
        let _gone = inotify::remove_watch(&self.inotify, watch.0);
    }

    /// What changed since the last call.
    pub(crate) fn changes(&mut self) -> io::Result<Vec<Change>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut changes = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => return Ok(changes),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.push(Change::Unknown);
            }
            let Some(console) = self.watched.get(&event.wd()) else {
                continue;
            };
            if event.events().contains(ReadFlags::OPEN) {
                changes.push(Change::Opened(*console));
            } else if event
                .events()
                .intersects(ReadFlags::CLOSE_WRITE | ReadFlags::CLOSE_NOWRITE)
            {
                changes.push(Change::Closed(*console));
            }
        }
    }
}

impl AsFd for OpenStates {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
