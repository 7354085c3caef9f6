// SPDX-License-Identifier: MIT
//! Descriptors that a service manager passes to the program at its start, stored
//! by an earlier run (systemd's file descriptor store,
//! `sd_listen_fds_with_names(3)`). This is here because taking them is unsafe.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes them with their names. There are none if the environment is for another
/// process, or if they were taken before.
pub fn take() -> io::Result<Vec<(String, OwnedFd)>> {
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    let inherited = sd_notify::listen_fds_with_names()?;
    Ok(inherited
        .map(|(fd, name)| {
            // SAFETY: LISTEN_PID names this process, so the service manager
            // opened this descriptor for it before its first instruction; it was
            // found open just now, and TAKEN makes this its only owner.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            (name, fd)
        })
        .collect())
}
