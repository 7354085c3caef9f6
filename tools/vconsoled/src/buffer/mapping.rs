// SPDX-License-Identifier: MIT
//! A mapping of a buffer's file, for high output rates: bytes are copied; one
//! word in the file's first page holds their end, another the pty's position. All
//! of it is in the file for the next process if this one is killed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use xen_io::mapping::Mapping;

use super::file::{place, to_usize};
use super::records::HEADER;
use super::{CAPACITY, PIECE};

/// Offsets of the words, behind all records.
const REACHED: u64 = HEADER - 8;
const SHOWN: u64 = HEADER - 16;

/// Limit of mappings: each holds all of its file.
const MOST: usize = 32;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// The file of one buffer.
#[derive(Debug)]
pub(super) struct MappedBuffer {
    map: Mapping,
    /// Memory is populated up to this position.
    reserved: u64,
    _counted: Counted,
}

impl MappedBuffer {
    /// Maps a file to which bytes are appended from `end` on, unless there are
    /// too many mappings or the file is not in memory.
    pub(super) fn open(file: &File, end: u64) -> io::Result<Self> {
        let counted = Counted::new().ok_or(io::ErrorKind::QuotaExceeded)?;
        let length = HEADER + CAPACITY;
        if file.metadata()?.len() < length {
            file.set_len(length)?;
        }
        let mut map = Mapping::of(file, to_usize(length))?;
        map.populate(0, to_usize(HEADER))?;
        Ok(Self {
            map,
            reserved: end / PIECE * PIECE,
            _counted: counted,
        })
    }

    /// Appends bytes at `position`, and publishes their end. On failure nothing
    /// was appended.
    pub(super) fn append(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let end = position + bytes.len() as u64;
        while self.reserved < end {
            let (offset, _) = place(self.reserved);
            self.map.populate(to_usize(offset), to_usize(PIECE))?;
            self.reserved += PIECE;
        }
        let (offset, room) = place(position);
        let (piece, rest) = bytes.split_at(to_usize(room).min(bytes.len()));
        self.map.store(to_usize(offset), piece);
        self.map.store(to_usize(HEADER), rest);
        self.map.publish(to_usize(REACHED), end);
        Ok(())
    }

    /// Publishes the pty's position.
    pub(super) fn show(&mut self, position: u64) {
        self.map.publish(to_usize(SHOWN), position);
    }

    /// Copies out bytes at `offset` in the buffer's file.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) {
        self.map.load(to_usize(offset), bytes);
    }
}

/// The end of a mapping's bytes in a file, 0 without one. A record may be newer.
pub(super) fn reached(file: &File) -> u64 {
    word(file, REACHED)
}

/// The pty's position from a mapping, likewise.
pub(super) fn shown(file: &File) -> u64 {
    word(file, SHOWN)
}

fn word(file: &File, offset: u64) -> u64 {
    let mut word = [0; 8];
    let read = file.read_exact_at(&mut word, offset);
    read.map_or(0, |()| u64::from_ne_bytes(word))
}

/// Counts one mapping.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> Option<Self> {
        let before = OPEN.fetch_add(1, Ordering::Relaxed);
        let counted = Self;
        (before < MOST).then_some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}
