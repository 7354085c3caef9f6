// SPDX-License-Identifier: MIT
//! The last of a console's output, addressed by stream position: the number
//! of bytes since the console began.
//!
//! One writer appends. Whoever consumes (the pty, the log, viewers of sockets)
//! has a [`Cursor`] and pulls at its own pace; who falls behind loses bytes of
//! its own, is told how many, and holds up nobody.
//!
//! The bytes lie in a file rather than in the process's memory: another thread
//! can read it, what nobody wants is given back to the system page by page,
//! and in a state directory it outlives a process that is killed.
//!
//! # What a killed process leaves
//!
//! The file's first page holds [records](Record), each written whole or not at
//! all. Bytes are written first; the record that tells of them, with the index of
//! the ring they came up to, makes them count; the ring lets go of them last.
//! Whoever comes next finds either no record, and the bytes still in the ring,
//! or the record, and takes the ring up behind them.
//!
//! Of a console that sends much the file is mapped, and words in the first
//! page take the place of records (`mapping`).

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

/// Most that is ever kept, for a consumer that is behind, in bytes.
pub const CAPACITY: u64 = 1024 * 1024;
/// Most that is added at once, in bytes.
pub const STEP: usize = 4096;

/// Memory is given back in pieces of this size.
const PIECE: u64 = 16 * 1024;

/// A bounded record of a console's output.
#[derive(Debug)]
pub struct OutputBuffer {
    /// Replaced when it cannot be written to any more.
    file: RwLock<File>,
    in_memory: AtomicBool,
    scrollback: u64,
    start: AtomicU64,
    end: AtomicU64,
    writer: Mutex<Writer>,
}

/// What the writer alone knows.
#[derive(Debug, Default)]
struct Writer {
    checkpoint: Checkpoint,
    /// What is before this was given back.
    freed: u64,
    mapping: Option<MappedBuffer>,
    /// When output came, if anybody asks.
    times: Option<Times>,
    /// Who asks, and from where on.
    readers: Vec<(Record, u64)>,
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

    /// Where a consumer starts that wants what is kept for its like.
    #[must_use]
    pub fn scrollback(&self) -> u64 {
        self.start().max(self.end().saturating_sub(self.scrollback))
    }

    /// How much is kept for consumers to come, in bytes.
    #[must_use]
    pub fn scrollback_size(&self) -> u64 {
        self.scrollback
    }

    /// Where the last bytes came from.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.writer().checkpoint
    }

    /// Adds bytes at the end, at most a [`STEP`], which come up to `mark`; the
    /// oldest go as far as they must. One thread does this.
    ///
    /// A file that cannot be written to is given up, with a message: the
    /// buffer goes on in memory, which can fail as well.
    pub fn append(&self, bytes: &[u8], checkpoint: Checkpoint) -> io::Result<()> {
        self.append_shown(bytes, checkpoint, None)
    }

    /// The same for bytes of which the pty took some already: with them
    /// [`Record::Pty`] becomes `shown`, at no further cost.
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
        // First of all: a reader that sees a byte written over sees this too.
        self.start
            .fetch_max(end.saturating_sub(CAPACITY), Ordering::AcqRel);
        fence(Ordering::SeqCst);
        let writer = &mut *writer;
        if let Some(times) = &mut writer.times {
            times.note(&self.file(), Arrival::now(self.end()), Instant::now());
        }
        // The word tells no more than where bytes end.
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

    /// Copies out what is kept from `position` on, as much as fits; 0 at the
    /// end. A position before [`start`](Self::start) is an error of kind
    /// `NotFound`.
    pub fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.end().saturating_sub(position);
        let (offset, room) = place(position);
        let want = to_usize(waiting.min(room)).min(buffer.len());
        let bytes = &mut buffer[..want];
        let writer = self.writer();
        if let Some(mapped) = &writer.mapping {
            // What was given up has no page, and to read one that is not there
            // makes it: with no room for it, that is a fault and no error.
            if position < self.start() {
                return Err(io::ErrorKind::NotFound.into());
            }
            mapped.read(offset, bytes);
        } else {
            // Nobody waits for a file that is slow.
            drop(writer);
            self.file().read_exact_at(bytes, offset)?;
        }
        fence(Ordering::SeqCst);
        // What was written over meanwhile is not what was asked for.
        if position < self.start() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(want)
    }

    /// Says that no consumer is before `position`. What is not kept for
    /// consumers to come either is given up. The writer's thread does this.
    pub fn release(&self, position: u64) {
        let floor = position.min(self.end().saturating_sub(self.scrollback));
        let start = self.start.fetch_max(floor, Ordering::AcqRel).max(floor);
        let mut writer = self.writer();
        let (freed, to) = (writer.freed, start / PIECE * PIECE);
        if freed >= to || writer.mapping.is_some() {
            return;
        }
        // Told before it is done: nobody must take a hole for output.
        let output = self.output(self.end(), writer.checkpoint);
        if self
            .write_record(Record::Output, output.as_bytes())
            .is_err()
        {
            return;
        }
        // What is more than a lap behind lies where newer bytes are.
        let lap = self.end().saturating_sub(CAPACITY);
        let mut from = freed.max(lap.next_multiple_of(PIECE));
        while from < to {
            let (offset, room) = place(from);
            let length = room.min(to - from);
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // A file system that cannot give it back keeps it.
            let _kept = rustix::fs::fallocate(&*self.file(), flags, offset, length);
            from += length;
        }
        writer.freed = to;
    }

    /// Much is going to be added: makes that cheap, if it can be. What is
    /// released is kept meanwhile.
    pub fn map(&self) {
        let mut writer = self.writer();
        if writer.mapping.is_none() {
            // Where there can be none, files are written to.
            writer.mapping = MappedBuffer::open(&self.file(), self.end()).ok();
        }
    }

    /// No more so much is going to be added.
    pub fn unmap(&self) {
        let mut writer = self.writer();
        if writer.mapping.take().is_some() {
            let output = self.output(self.end(), writer.checkpoint);
            // For one who does not know of mappings; it can do without.
            let _noted = self.write_record(Record::Output, output.as_bytes());
        }
    }

    /// Whether to note when output comes from now on, for that reader. It is then known
    /// from `from` on, where the reader is.
    pub fn set_times(&self, reader: Record, wanted: bool, from: u64) {
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
            // A file that holds anything has this record.
            let _noted = self.write_record(Record::Output, output.as_bytes());
            let mut times = Times::default();
            times.note(&self.file(), Arrival::now(from), Instant::now());
            writer.times = Some(times);
        } else {
            // That there are marks tells the next process to make more.
            let _kept = self.file().set_len(times::MARKS);
            writer.times = None;
        }
    }

    /// A reader will not ask any more, for now: times are noted as before.
    pub fn leave_times(&self, reader: Record) {
        self.writer().readers.retain(|(one, _)| *one != reader);
    }

    /// When the bytes from `from` up to `to` came, if that is known.
    #[must_use]
    pub fn arrivals(&self, from: u64, to: u64) -> Vec<Arrival> {
        let writer = self.writer();
        let times = writer.times.as_ref();
        let known = times.map(|times| times.between(from, to));
        known
            .filter(|known| !known.is_empty())
            .unwrap_or_else(|| vec![Arrival::now(from)])
    }

    /// Says that a reader will not ask when anything before `position` came.
    pub fn forget_times(&self, reader: Record, position: u64) {
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

    /// Writes a record, at most [`RECORD_MAX`] bytes of it, whole or not at all.
    pub fn write_record(&self, record: Record, text: &[u8]) -> io::Result<()> {
        record.write(&self.file(), &[text])
    }

    /// Says how far the pty got, if that can be done without a record.
    pub fn show(&self, position: u64) -> bool {
        let mut writer = self.writer();
        let mapped = writer.mapping.as_mut();
        mapped.map(|mapped| mapped.show(position)).is_some()
    }

    /// How far the pty got by what was [said](Self::show). What a record tells
    /// may be newer.
    #[must_use]
    pub fn shown(&self) -> u64 {
        mapping::shown(&self.file())
    }

    /// A record, if there is one that is whole.
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

    /// Goes on without the file. What it holds is copied as far as it can be
    /// read.
    fn move_to_memory(&self, why: &io::Error) -> io::Result<()> {
        tracing::error!("history kept in memory from here on, and lost with the process: {why}");
        // A file that is cut short has no pages for it.
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
        // Nobody must take it up where it stands now.
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
