// SPDX-License-Identifier: MIT
//! A buffer's file as memory, while much is added: bytes are copied, and a
//! word in the file's first page says where they end, another how far the pty
//! got. All is in the file for the next process when this one is killed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use xen_io::mapping::Mapping;

use super::file::{place, to_usize};
use super::records::HEADER;
use super::{CAPACITY, PIECE};

/// Where the words are, which lie behind all records.
const REACHED: u64 = HEADER - 8;
const SHOWN: u64 = HEADER - 16;

/// Most there are at once: each holds all of its file.
const MOST: usize = 32;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// The file of one buffer.
#[derive(Debug)]
pub(super) struct MappedBuffer {
    map: Mapping,
    /// There is room up to this position.
    reserved: u64,
    _counted: Counted,
}

impl MappedBuffer {
    /// Opens one on a file to which bytes are added from `end` on, if there
    /// are not too many, and if the file is in memory.
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

    /// Adds bytes at `position`, and says where they end. If it fails, nothing
    /// was added.
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

    /// Says how far the pty got.
    pub(super) fn show(&mut self, position: u64) {
        self.map.publish(to_usize(SHOWN), position);
    }

    /// Copies out bytes of the buffer that lie at `offset` in its file.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) {
        self.map.load(to_usize(offset), bytes);
    }
}

/// Where a mapping's bytes end in a file, if it ever had one. What a record tells
/// may be newer.
pub(super) fn reached(file: &File) -> u64 {
    word(file, REACHED)
}

/// How far the pty got by a mapping, likewise.
pub(super) fn shown(file: &File) -> u64 {
    word(file, SHOWN)
}

fn word(file: &File, offset: u64) -> u64 {
    let mut word = [0; 8];
    let read = file.read_exact_at(&mut word, offset);
    read.map_or(0, |()| u64::from_ne_bytes(word))
}

/// One of the mappings there may be.
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
