// SPDX-License-Identifier: MIT
//! A file that one process at a time holds locked until it ends.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno as Refusal;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

/// Longest note, in bytes.
const NOTE_MAX: usize = 64;

/// A lock file, removed on drop.
pub(crate) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Creates and locks the file; an error names its holder.
    pub(crate) fn take(path: PathBuf) -> io::Result<Self> {
        loop {
            let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
                .open(&path)?;
            lock(&file)?;
            // Its last owner may have removed it meanwhile.
            if is_at(&file, &path)? {
                return Ok(Self { path, file });
            }
        }
    }

    /// Writes a text to it, for the next holder if this process is killed.
    pub(crate) fn note(&self, text: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(text.as_bytes(), 0)
    }

    /// The text of its last owner, if that was killed.
    pub(crate) fn noted(&self) -> io::Result<String> {
        let mut text = [0; NOTE_MAX];
        let length = self.file.read_at(&mut text, 0)?;
        Ok(String::from_utf8_lossy(&text[..length]).into_owned())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// The lock file of a socket.
pub(crate) fn beside(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Locks a file for this process; an error names its holder.
pub(crate) fn lock(file: &impl AsFd) -> io::Result<()> {
    // The kernel reports the holder of this lock; the other lock excludes this
    // process too.
    while let Err(error) = fcntl(file, FcntlArg::F_SETLK(&whole(libc::F_WRLCK))) {
        if !matches!(error, Refusal::EAGAIN | Refusal::EACCES) {
            return Err(error.into());
        }
        // Otherwise it was just released.
        if let Some(pid) = owner(file)? {
            return Err(taken(&format!("process {pid}")));
        }
    }
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(taken("this process")),
        result => Ok(result?),
    }
}

fn taken(who: &str) -> io::Error {
    let what = format!("another daemon has it: {who}");
    io::Error::new(io::ErrorKind::AddrInUse, what)
}

/// The other process that holds a file.
fn owner(file: &impl AsFd) -> io::Result<Option<i32>> {
    let mut found = whole(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_GETLK(&mut found))?;
    let has = i32::from(found.l_type) != libc::F_UNLCK;
    Ok(has.then_some(found.l_pid))
}

fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
