// SPDX-License-Identifier: MIT
//! Small records at the start of a file, for the next process.
//!
//! Each is written by one `pwrite` within a page. The kernel copies it into the
//! page cache without a point at which a signal could interrupt it, so a record
//! is the old one or the new one, never a mix; a checksum detects anything else.
//! Records need not survive a crash of the host.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The page of records.
pub(super) const HEADER: u64 = 4096;
/// Room for each record with its checksum and length.
const RECORD_SIZE: usize = 256;
const RECORD_HEAD: usize = 8;
/// Most records in one write.
const TOGETHER: usize = 2;
/// Longest record, in bytes.
pub const RECORD_MAX: usize = RECORD_SIZE - RECORD_HEAD;

/// Kinds of records. The numbers are places in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The console's owner.
    Owner = 0,
    /// End of the output.
    Output = 1,
    /// The pty's position.
    Pty = 2,
    /// The log's position.
    Log = 3,
    /// Identifies this buffer.
    Stream = 4,
    /// Path of the log.
    LogPath = 5,
    /// The viewers' sockets.
    Endpoints = 6,
    /// The journal's position.
    Journal = 7,
    /// The watch rules' position.
    Watch = 8,
    /// The recording's position.
    Recording = 9,
    /// Path of the recording.
    RecordingPath = 10,
}

impl Record {
    fn offset(self) -> u64 {
        self as u64 * RECORD_SIZE as u64
    }

    /// Writes the record, and one after it for each further text, at most
    /// [`RECORD_MAX`] bytes of each, all atomically.
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

    /// Reads the record, if it is valid.
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
