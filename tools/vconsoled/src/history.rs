// SPDX-License-Identifier: MIT
//! The last of a console's output, addressed by stream position: the number
//! of bytes since the console began.
//!
//! One writer appends. Whoever consumes (the pty, the log, viewers of sockets)
//! has a [`Cursor`] and pulls at its own pace; who falls behind loses bytes of
//! its own, is told how many, and holds up nobody.
//!
//! The bytes lie in a file rather than in the process's memory: it can outlive
//! the process, another thread can read it, and what nobody wants is given
//! back to the system page by page.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::fs::{FallocateFlags, MemfdFlags};

/// Most that is ever kept, for a consumer that is behind, in bytes.
pub const CAPACITY: u64 = 1024 * 1024;
/// What is kept for consumers to come, unless configured, in bytes.
pub const SCROLLBACK: u64 = 64 * 1024;

/// The bytes start behind a page for whoever keeps the file's books.
pub(crate) const HEADER: u64 = 4096;
/// Memory is given back in pieces of this size.
const PIECE: u64 = 16 * 1024;

/// A bounded record of a console's output.
#[derive(Debug)]
pub struct History {
    file: File,
    scrollback: u64,
    start: AtomicU64,
    end: AtomicU64,
    /// What is before this was given back.
    freed: AtomicU64,
}

impl History {
    /// A history that ends with the process, and keeps `scrollback` bytes
    /// (at most [`CAPACITY`]) for consumers to come.
    pub fn in_memory(scrollback: u64) -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("vconsoled-history", MemfdFlags::CLOEXEC)?;
        Ok(Self::over(memory.into(), scrollback, 0, 0))
    }

    /// A history whose bytes from `start` up to `end` are in `file` already.
    pub(crate) fn over(file: File, scrollback: u64, start: u64, end: u64) -> Self {
        Self {
            file,
            scrollback: scrollback.min(CAPACITY),
            start: start.into(),
            end: end.into(),
            freed: (start / PIECE * PIECE).into(),
        }
    }

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

    /// Adds bytes at the end; the oldest go as far as they must. There is one
    /// writer.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes)?;
        self.publish(bytes.len() as u64);
        Ok(())
    }

    /// Writes bytes behind the end without moving it. Readers see to it that
    /// none takes a byte that was written over: `start` moves first.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end();
        let oldest = (end + bytes.len() as u64).saturating_sub(CAPACITY);
        self.start.fetch_max(oldest, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        // Of more than there is room for, only the last can stay.
        let skipped = bytes.len().saturating_sub(to_usize(CAPACITY));
        let mut position = end + skipped as u64;
        let mut bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            let (offset, room) = place(position);
            let (piece, rest) = bytes.split_at(to_usize(room).min(bytes.len()));
            self.file.write_all_at(piece, offset)?;
            position += piece.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Moves the end over bytes that were written.
    pub(crate) fn publish(&self, length: u64) {
        self.end.fetch_add(length, Ordering::AcqRel);
    }

    /// Copies out what is kept from `position` on, as much as fits; 0 at the
    /// end. A position before [`start`](Self::start) is an error of kind
    /// `NotFound`.
    pub fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.end().saturating_sub(position);
        let (offset, room) = place(position);
        let want = to_usize(waiting.min(room)).min(buffer.len());
        self.file.read_exact_at(&mut buffer[..want], offset)?;
        fence(Ordering::SeqCst);
        // What was written over meanwhile is not what was asked for.
        if position < self.start() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(want)
    }

    /// Says that no consumer is before `position`. What is not kept for
    /// consumers to come either is given up.
    pub fn release(&self, position: u64) {
        let floor = position.min(self.end().saturating_sub(self.scrollback));
        let start = self.start.fetch_max(floor, Ordering::AcqRel).max(floor);
        let (mut from, to) = (self.freed.load(Ordering::Relaxed), start / PIECE * PIECE);
        // What is more than a lap behind lies where newer bytes are.
        let lap = self.end().saturating_sub(CAPACITY);
        from = from.max(lap.next_multiple_of(PIECE));
        while from < to {
            let (offset, room) = place(from);
            let length = room.min(to - from);
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // A file system that cannot give it back keeps it.
            let _kept = rustix::fs::fallocate(&self.file, flags, offset, length);
            from += length;
        }
        self.freed.fetch_max(to, Ordering::Relaxed);
    }
}

/// Where in the file a position lies, and how far it goes on from there.
fn place(position: u64) -> (u64, u64) {
    let offset = position % CAPACITY;
    (HEADER + offset, CAPACITY - offset)
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A consumer's place in a [`History`].
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    position: u64,
    /// What is left of a note about lost bytes, which goes first.
    note: Vec<u8>,
    lost: u64,
}

impl Cursor {
    /// A consumer whose next byte is at `position`.
    #[must_use]
    pub fn at(position: u64) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    /// Position of the next byte.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes this consumer never saw and never will.
    #[must_use]
    pub fn lost(&self, history: &History) -> u64 {
        self.lost + history.start().saturating_sub(self.position)
    }

    /// Copies out what comes next, as much as fits, without moving on; 0 when
    /// there is nothing. Where bytes were lost, a note says so.
    pub fn peek(&mut self, history: &History, buffer: &mut [u8]) -> io::Result<usize> {
        if self.note.is_empty() {
            match history.read(self.position, buffer) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.skip(history.start()),
                result => return result,
            }
        }
        let length = self.note.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.note[..length]);
        Ok(length)
    }

    /// Moves past so many of the bytes that [`peek`](Self::peek) gave.
    pub fn advance(&mut self, length: usize) {
        if self.note.is_empty() {
            self.position += length as u64;
        } else {
            self.note.drain(..length);
        }
    }

    /// Loses what is before `position`.
    fn skip(&mut self, position: u64) {
        let gap = position.saturating_sub(self.position);
        self.position += gap;
        self.lost += gap;
        self.note = format!("\r\n[{gap} bytes lost]\r\n").into_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(scrollback: u64) -> History {
        History::in_memory(scrollback).unwrap()
    }

    /// Bytes that differ from one position to the next and from lap to lap.
    fn pattern(from: u64, length: usize) -> Vec<u8> {
        (from..)
            .take(length)
            .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56).to_le_bytes()[0])
            .collect()
    }

    fn take(cursor: &mut Cursor, history: &History) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 1000];
        loop {
            match cursor.peek(history, &mut buffer).unwrap() {
                0 => return all,
                // Less than was offered, as a slow consumer does.
                length => {
                    let taken = length.div_ceil(2);
                    cursor.advance(taken);
                    all.extend_from_slice(&buffer[..taken]);
                }
            }
        }
    }

    #[test]
    fn what_is_appended_is_read_at_its_position() {
        let history = history(100);
        for chunk in [&b"abc"[..], b"", b"defgh"] {
            history.append(chunk).unwrap();
        }
        assert_eq!((history.start(), history.end()), (0, 8));
        let mut buffer = [0; 4];
        assert_eq!(history.read(2, &mut buffer).unwrap(), 4);
        assert_eq!(&buffer, b"cdef");
        assert_eq!(history.read(7, &mut buffer).unwrap(), 1);
        assert_eq!(buffer[0], b'h');
        assert_eq!(history.read(8, &mut buffer).unwrap(), 0);
        assert_eq!(history.read(u64::MAX, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn every_consumer_gets_all_of_it_over_many_laps() {
        let history = history(SCROLLBACK);
        let (mut one, mut other) = (Cursor::default(), Cursor::default());
        let mut seen = (Vec::new(), Vec::new());
        let total = 3 * 1024 * 1024 + 77;
        let sent = pattern(0, total);
        for chunk in sent.chunks(30_011) {
            history.append(chunk).unwrap();
            seen.0.extend(take(&mut one, &history));
            if history.end().is_multiple_of(3) {
                seen.1.extend(take(&mut other, &history));
            }
            history.release(one.position().min(other.position()));
        }
        seen.1.extend(take(&mut other, &history));
        assert!(seen.0 == sent && seen.1 == sent);
        assert_eq!((one.lost(&history), other.lost(&history)), (0, 0));
    }

    #[test]
    fn who_falls_behind_is_told_how_much_was_lost() {
        let history = history(100);
        let mut slow = Cursor::default();
        let sent = pattern(0, 1_500_000);
        history.append(&sent[..1_000_000]).unwrap();
        history.append(&sent[1_000_000..]).unwrap();
        let gap = 1_500_000 - 1024 * 1024;
        let expected = [
            format!("\r\n[{gap} bytes lost]\r\n").as_bytes(),
            &sent[gap..],
        ]
        .concat();
        assert!(take(&mut slow, &history) == expected);
        assert_eq!(slow.lost(&history), gap as u64);
        history.append(b"x").unwrap();
        assert_eq!(take(&mut slow, &history), b"x", "told once");
    }

    #[test]
    fn only_scrollback_stays_when_nobody_waits() {
        let history = history(100);
        history.append(&pattern(0, 5000)).unwrap();
        assert_eq!((history.start(), history.scrollback()), (0, 4900));
        history.release(3000);
        assert_eq!(history.start(), 3000, "someone waits");
        history.release(5000);
        assert_eq!(history.start(), 4900);
        let mut late = Cursor::at(history.scrollback());
        assert_eq!(take(&mut late, &history), pattern(4900, 100));
    }

    #[test]
    fn one_piece_larger_than_everything_leaves_its_end() {
        let history = history(100);
        let sent = pattern(0, 2_000_000);
        history.append(&sent).unwrap();
        assert_eq!(history.end(), 2_000_000);
        let mut late = Cursor::at(history.start());
        assert!(take(&mut late, &history) == sent[2_000_000 - 1024 * 1024..]);
    }

    #[test]
    fn memory_is_given_back() {
        let history = history(1000);
        let held = |history: &History| rustix::fs::fstat(&history.file).unwrap().st_blocks * 512;
        for from in (0..3_000_000).step_by(10_000) {
            history.append(&pattern(from, 10_000)).unwrap();
        }
        assert!(held(&history) > 1_000_000);
        history.release(u64::MAX);
        assert!(held(&history) <= 64 * 1024, "{}", held(&history));
        history.append(&pattern(3_000_000, 500)).unwrap();
        let mut late = Cursor::at(history.scrollback());
        assert_eq!(take(&mut late, &history), pattern(2_999_500, 1000));
    }

    /// A reader in another thread never takes a byte for another.
    #[test]
    fn a_reader_that_is_overtaken_notices() {
        let history = history(100);
        let total: u64 = 10_000_000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut from = 0;
                while from < total {
                    history.append(&pattern(from, 50_000)).unwrap();
                    from += 50_000;
                }
            });
            let mut buffer = [0; 4096];
            let mut position = 0;
            while position < total {
                match history.read(position, &mut buffer) {
                    Ok(length) => {
                        assert!(buffer[..length] == pattern(position, length));
                        position += length as u64;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::NotFound);
                        position = history.start();
                    }
                }
            }
        });
    }
}
