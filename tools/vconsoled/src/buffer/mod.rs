// SPDX-License-Identifier: MIT
//! The newest output of a console, addressed by stream position: the number of
//! bytes since the console began.
//!
//! One writer appends. Each consumer (the pty, the log, viewers of sockets) has a
//! [`Cursor`] and pulls at its own pace; a slow consumer loses only its own
//! bytes, gets their number, and delays no other.
//!
//! The bytes are in a file rather than in the process's memory: another thread
//! can read it, released pages are returned to the system, and in a state
//! directory it outlives a process that is killed.
//!
//! # What a killed process leaves
//!
//! The file's first page holds [records](Record), each written atomically. Bytes
//! are written first; then the record of their end and of the ring's index makes
//! them count; then the ring releases them. The next process finds either no
//! record, and the bytes still in the ring, or the record, and continues the ring
//! after them.
//!
//! At high output rates the file is mapped, and words in the first page replace
//! records (`mapping`).

mod checkpoint;
mod cursor;
mod file;
mod mapping;
mod open;
mod records;
#[cfg(test)]
mod tests;
mod times;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Instant;

use rustix::fs::FallocateFlags;
use zerocopy::IntoBytes as _;

pub use checkpoint::Checkpoint;
pub use cursor::Cursor;
pub use records::{RECORD_MAX, Record};
pub use times::Arrival;

use checkpoint::Output;
use file::{memory, place, to_usize};
use mapping::MappedBuffer;
use records::HEADER;
use times::Times;

/// Most bytes kept for a slow consumer.
pub const CAPACITY: u64 = 1024 * 1024;
/// Most bytes of one append.
pub const STEP: usize = 4096;

/// Memory is returned in pieces of this size.
const PIECE: u64 = 16 * 1024;

/// A bounded record of a console's output.
#[derive(Debug)]
pub struct OutputBuffer {
    /// Replaced when writing to it fails.
    file: RwLock<File>,
    in_memory: AtomicBool,
    scrollback: u64,
    start: AtomicU64,
    end: AtomicU64,
    writer: Mutex<Writer>,
}

/// The writer's state.
#[derive(Debug, Default)]
struct Writer {
    checkpoint: Checkpoint,
    /// Everything before this was returned to the system.
    freed: u64,
    mapping: Option<MappedBuffer>,
    /// When output came, while a reader needs it.
    times: Option<Times>,
    /// The ids of those readers, and their positions.
    readers: Vec<(u64, u64)>,
}

impl OutputBuffer {
    /// Position of the oldest byte that is kept.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    /// Position of the next byte to come.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Where a new consumer of the kept output starts.
    #[must_use]
    pub fn scrollback(&self) -> u64 {
        self.start().max(self.end().saturating_sub(self.scrollback))
    }

    /// How much is kept for new consumers, in bytes.
    #[must_use]
    pub fn scrollback_size(&self) -> u64 {
        self.scrollback
    }

    /// The ring position of the last bytes.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.writer().checkpoint
    }

    /// Appends at most a [`STEP`] of bytes, which end at `checkpoint`; the oldest
    /// bytes are dropped as needed. Only one thread does this.
    ///
    /// If the file cannot be written to, it is given up, with a message: the
    /// buffer continues in memory, which can fail as well.
    pub fn append(&self, bytes: &[u8], checkpoint: Checkpoint) -> io::Result<()> {
        self.append_shown(bytes, checkpoint, None)
    }

    /// The same for bytes that the pty took in part: [`Record::Pty`] becomes
    /// `shown` in the same write.
    pub fn append_shown(
        &self,
        bytes: &[u8],
        checkpoint: Checkpoint,
        shown: Option<&[u8]>,
    ) -> io::Result<()> {
        if bytes.len() > STEP {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match self.try_append(bytes, checkpoint, shown) {
            Err(error) if !self.in_memory.load(Ordering::Relaxed) => {
                self.move_to_memory(&error)?;
                self.try_append(bytes, checkpoint, shown)
            }
            result => result,
        }
    }

    fn try_append(
        &self,
        bytes: &[u8],
        checkpoint: Checkpoint,
        shown: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut writer = self.writer();
        let end = self.end() + bytes.len() as u64;
        // This comes first: a reader that sees an overwritten byte sees this too.
        self.start
            .fetch_max(end.saturating_sub(CAPACITY), Ordering::AcqRel);
        fence(Ordering::SeqCst);
        let writer = &mut *writer;
        if let Some(times) = &mut writer.times {
            times.note(&self.file(), Arrival::now(self.end()), Instant::now());
        }
        // The word holds only the end of the bytes.
        let plain = shown.is_none() && writer.checkpoint.after(bytes.len()) == checkpoint;
        if plain && let Some(mapped) = &mut writer.mapping {
            match mapped.append(self.end(), bytes) {
                Ok(()) => {
                    writer.checkpoint = checkpoint;
                    self.end.store(end, Ordering::Release);
                    return Ok(());
                }
                Err(error) => {
                    tracing::debug!("a buffer's file is not mapped any more: {error}");
                    writer.mapping = None;
                }
            }
        }
        let (offset, room) = place(self.end());
        let (piece, rest) = bytes.split_at(to_usize(room).min(bytes.len()));
        let file = self.file();
        file.write_all_at(piece, offset)?;
        file.write_all_at(rest, HEADER)?;
        let output = self.output(end, checkpoint);
        match shown {
            Some(shown) => Record::Output.write(&file, &[output.as_bytes(), shown])?,
            None => Record::Output.write(&file, &[output.as_bytes()])?,
        }
        writer.checkpoint = checkpoint;
        self.end.store(end, Ordering::Release);
        Ok(())
    }

    /// Copies out bytes from `position` on, as many as fit; 0 at the end. A
    /// position before [`start`](Self::start) is an error of kind `NotFound`.
    pub fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.end().saturating_sub(position);
        let (offset, room) = place(position);
        let want = to_usize(waiting.min(room)).min(buffer.len());
        let bytes = &mut buffer[..want];
        let writer = self.writer();
        if let Some(mapped) = &writer.mapping {
            // Released bytes have no page, and reading a missing page allocates
            // it: without free memory that is a fault, not an error.
            if position < self.start() {
                return Err(io::ErrorKind::NotFound.into());
            }
            mapped.read(offset, bytes);
        } else {
            // The lock is not held while a slow file is read.
            drop(writer);
            self.file().read_exact_at(bytes, offset)?;
        }
        fence(Ordering::SeqCst);
        // Bytes that were overwritten meanwhile are not those requested.
        if position < self.start() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(want)
    }

    /// States that no consumer is before `position`. Bytes that are not kept for
    /// new consumers either are released. Called by the writer's thread.
    pub fn release(&self, position: u64) {
        let floor = position.min(self.end().saturating_sub(self.scrollback));
        let start = self.start.fetch_max(floor, Ordering::AcqRel).max(floor);
        let mut writer = self.writer();
        let (freed, to) = (writer.freed, start / PIECE * PIECE);
        if freed >= to || writer.mapping.is_some() {
            return;
        }
        // Recorded before it is done, so that a hole is never taken for output.
        let output = self.output(self.end(), writer.checkpoint);
        if self
            .write_record(Record::Output, output.as_bytes())
            .is_err()
        {
            return;
        }
        // Bytes more than a lap behind are overwritten by newer ones.
        let lap = self.end().saturating_sub(CAPACITY);
        let mut from = freed.max(lap.next_multiple_of(PIECE));
        while from < to {
            let (offset, room) = place(from);
            let length = room.min(to - from);
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // A file system without support keeps the space.
            let _kept = rustix::fs::fallocate(&*self.file(), flags, offset, length);
            from += length;
        }
        writer.freed = to;
    }

    /// Maps the file, if possible, before much output. Released bytes are kept
    /// meanwhile.
    pub fn map(&self) {
        let mut writer = self.writer();
        if writer.mapping.is_none() {
            // Without a mapping the file is written to.
            writer.mapping = MappedBuffer::open(&self.file(), self.end()).ok();
        }
    }

    /// Unmaps the file after much output.
    pub fn unmap(&self) {
        let mut writer = self.writer();
        if writer.mapping.take().is_some() {
            let output = self.output(self.end(), writer.checkpoint);
            // For a version without mappings; it can do without.
            let _noted = self.write_record(Record::Output, output.as_bytes());
        }
    }

    /// Starts or stops noting for the reader with that id when output comes. Times
    /// are available from `from`, the reader's position, on.
    pub fn set_times(&self, reader: u64, wanted: bool, from: u64) {
        let mut writer = self.writer();
        writer.readers.retain(|(one, _)| *one != reader);
        if wanted {
            writer.readers.push((reader, from));
        }
        let wanted = !writer.readers.is_empty();
        if wanted == writer.times.is_some() {
            return;
        }
        if wanted {
            let output = self.output(self.end(), writer.checkpoint);
            // Any file with content has this record.
            let _noted = self.write_record(Record::Output, output.as_bytes());
            let mut times = Times::default();
            times.note(&self.file(), Arrival::now(from), Instant::now());
            writer.times = Some(times);
        } else {
            // The existence of marks makes the next process continue them.
            let _kept = self.file().set_len(times::MARKS);
            writer.times = None;
        }
    }

    /// A reader is gone for now: times are noted as before.
    pub fn leave_times(&self, reader: u64) {
        self.writer().readers.retain(|(one, _)| *one != reader);
    }

    /// When the bytes from `from` up to `to` came, if known.
    #[must_use]
    pub fn arrivals(&self, from: u64, to: u64) -> Vec<Arrival> {
        let writer = self.writer();
        let times = writer.times.as_ref();
        let known = times.map(|times| times.between(from, to));
        known
            .filter(|known| !known.is_empty())
            .unwrap_or_else(|| vec![Arrival::now(from)])
    }

    /// A reader does not need times before `position` any more.
    pub fn forget_times(&self, reader: u64, position: u64) {
        let mut writer = self.writer();
        let writer = &mut *writer;
        for (one, from) in &mut writer.readers {
            if *one == reader {
                *from = position;
            }
        }
        let slowest = writer.readers.iter().map(|(_, from)| *from).min();
        if let (Some(times), Some(slowest)) = (&mut writer.times, slowest) {
            times.forget(slowest);
        }
    }

    /// Writes a record atomically, at most [`RECORD_MAX`] bytes of it.
    pub fn write_record(&self, record: Record, text: &[u8]) -> io::Result<()> {
        record.write(&self.file(), &[text])
    }

    /// Stores the pty's position in a mapping; false if there is none.
    pub fn show(&self, position: u64) -> bool {
        let mut writer = self.writer();
        let mapped = writer.mapping.as_mut();
        mapped.map(|mapped| mapped.show(position)).is_some()
    }

    /// The pty's position from [`show`](Self::show). A record may be newer.
    #[must_use]
    pub fn shown(&self) -> u64 {
        mapping::shown(&self.file())
    }

    /// A record, if there is a valid one.
    #[must_use]
    pub fn record(&self, record: Record) -> Option<Vec<u8>> {
        record.read(&self.file())
    }

    fn output(&self, end: u64, checkpoint: Checkpoint) -> Output {
        Output {
            start: self.start(),
            end,
            ring: checkpoint.ring,
            out_cons: checkpoint.out_cons,
        }
    }

    /// Continues without the file. Its content is copied as far as it is
    /// readable.
    fn move_to_memory(&self, why: &io::Error) -> io::Result<()> {
        tracing::error!("history kept in memory from here on, and lost with the process: {why}");
        // Access to the mapping of a truncated file faults.
        self.writer().mapping = None;
        let memory = memory()?;
        let (mut position, end) = (self.start(), self.end());
        let mut buffer = [0; STEP];
        while position < end {
            let (offset, room) = place(position);
            let length = to_usize((end - position).min(room)).min(STEP);
            if self
                .file()
                .read_exact_at(&mut buffer[..length], offset)
                .is_err()
            {
                self.start.store(end, Ordering::Release);
                break;
            }
            memory.write_all_at(&buffer[..length], offset)?;
            position += length as u64;
        }
        // The next process must not use the file's old content.
        let _left = self.file().set_len(0);
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = memory;
        self.in_memory.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn file(&self) -> std::sync::RwLockReadGuard<'_, File> {
        self.file.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
