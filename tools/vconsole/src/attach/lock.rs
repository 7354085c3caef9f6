// SPDX-License-Identifier: MIT
//! One client per pty: two readers would each get half. The lock is on the pty
//! itself, which only users of the console can open. It ends with the descriptor.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{FlockOperation, major, minor};
use rustix::io::Errno;

/// Locks the pty, or returns the process that holds the lock.
pub(super) fn take(pty: &File) -> io::Result<Result<(), String>> {
    match rustix::fs::flock(pty, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Ok(())),
        Err(Errno::WOULDBLOCK) => Ok(Err(holder(pty).map_or_else(
            || "another client".to_owned(),
            |pid| format!("process {pid}"),
        ))),
        Err(errno) => Err(errno.into()),
    }
}

/// The process that holds the lock, from `proc_locks(5)`.
fn holder(pty: &File) -> Option<u32> {
    let metadata = pty.metadata().ok()?;
    let (major, minor) = (major(metadata.dev()), minor(metadata.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_ours = words.next() == Some("FLOCK");
        let pid = words.nth(2)?.parse().ok()?;
        (is_ours && words.next() == Some(&file)).then_some(pid)
    })
}
