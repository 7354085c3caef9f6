// SPDX-License-Identifier: MIT
//! The file of a buffer: how it is opened, and the offset of a position.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, MemfdFlags, OFlags};

use super::CAPACITY;
use super::records::HEADER;

/// Opens a buffer's file with an exclusive lock.
pub(super) fn open(path: &Path, create: bool) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        let why = "not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

pub(super) fn memory() -> io::Result<File> {
    Ok(rustix::fs::memfd_create("vconsoled-history", MemfdFlags::CLOEXEC)?.into())
}

/// The file offset of a position, and the contiguous bytes from there.
pub(super) fn place(position: u64) -> (u64, u64) {
    let offset = position % CAPACITY;
    (HEADER + offset, CAPACITY - offset)
}

pub(super) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
