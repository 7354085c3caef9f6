// SPDX-License-Identifier: MIT
//! Small records at the start of a file, for the next process.
//!
//! Each is written by one `pwrite` within a page. The kernel copies it into the
//! page cache without a point at which a signal could end it, so a record is the
//! old one or the new one, never a mix; a checksum tells it from anything else
//! that may lie there. Nothing here is meant to survive the host's own end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The page of records.
pub(super) const HEADER: u64 = 4096;
/// Room for each record and for what checks it.
const RECORD_SIZE: usize = 256;
const RECORD_HEAD: usize = 8;
/// Most that are written at once.
const TOGETHER: usize = 2;
/// Longest record, in bytes.
pub const RECORD_MAX: usize = RECORD_SIZE - RECORD_HEAD;

/// Which record. The numbers are places in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Whose console it is.
    Owner = 0,
    /// How far output got.
    Output = 1,
    /// How far the pty got.
    Pty = 2,
    /// How far the log got.
    Log = 3,
    /// What tells this buffer from any other.
    Stream = 4,
    /// Where the log is.
    LogPath = 5,
    /// Which sockets are for viewers.
    Endpoints = 6,
    /// How far the journal got.
    Journal = 7,
    /// How far rules looked.
    Watch = 8,
    /// How far the recording got.
    Recording = 9,
    /// Where the recording is.
    RecordingPath = 10,
}

impl Record {
    fn offset(self) -> u64 {
        self as u64 * RECORD_SIZE as u64
    }

    /// Writes the record, and those after it for which there is a text, at most
    /// [`RECORD_MAX`] bytes of each: together whole or not at all.
    pub(super) fn write(self, file: &File, texts: &[&[u8]]) -> io::Result<()> {
        let mut bytes = [0; RECORD_SIZE * TOGETHER];
        let mut length = 0;
        let places = bytes.chunks_exact_mut(RECORD_SIZE).zip(texts);
        for ((number, (place, text)), end) in (self as u8..).zip(places).zip(1..) {
            let text = &text[..text.len().min(RECORD_MAX)];
            let size = u32::try_from(text.len()).unwrap_or_default();
            place[..4].copy_from_slice(&checksum(number, text).to_le_bytes());
            place[4..RECORD_HEAD].copy_from_slice(&size.to_le_bytes());
            place[RECORD_HEAD..][..text.len()].copy_from_slice(text);
            length = RECORD_SIZE * end - (RECORD_MAX - text.len());
        }
        file.write_all_at(&bytes[..length], self.offset())
    }

    /// Reads the record, if there is one that is whole.
    pub(super) fn read(self, file: &File) -> Option<Vec<u8>> {
        let mut head = [0; RECORD_HEAD];
        file.read_exact_at(&mut head, self.offset()).ok()?;
        let (sum, length) = head.split_at(4);
        let sum = u32::from_le_bytes(sum.try_into().ok()?);
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= RECORD_MAX)?;
        let mut text = vec![0; length];
        let offset = self.offset() + RECORD_HEAD as u64;
        file.read_exact_at(&mut text, offset).ok()?;
        (checksum(self as u8, &text) == sum).then_some(text)
    }
}

fn checksum(number: u8, text: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[number]);
    sum.update(text);
    sum.finalize()
}
