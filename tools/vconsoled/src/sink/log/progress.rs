// SPDX-License-Identifier: MIT
//! A log's record for the next daemon: its position, and the write in progress.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::Style;
use super::cast;
use super::file::Extent;
use super::stamp::{Stamps, seconds, stamps};
use super::text::Text;
use crate::buffer::{OutputBuffer, Record};
use crate::config::Filter;

/// [`Record::Log`], or [`Record::Recording`].
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct Progress {
    position: u64,
    device: u64,
    inode: u64,
    size: u64,
    text: [u8; 2],
    /// How the bytes being written are rendered.
    filter: u8,
    timestamps: u8,
    /// Number of output bytes being written; 0: none.
    pending: u32,
    /// Whether they are the end of the output.
    all: u8,
    unused: [u8; 7],
    /// Start of a recording's file.
    base: i64,
}

impl Progress {
    /// The log is at `position` in the output, and its file is complete.
    pub(super) fn at(position: u64, extent: Extent, text: Text) -> Self {
        Self {
            position,
            device: extent.device,
            inode: extent.inode,
            size: extent.size,
            text: text.to_bytes(),
            ..Self::new_zeroed()
        }
    }

    /// A write of this many bytes begins, which are the end of the output or not,
    /// in this style.
    pub(super) fn writing(self, (length, all): (usize, bool), style: Style) -> Self {
        Self {
            filter: style.filter as u8,
            timestamps: style.timestamps.into(),
            all: all.into(),
            pending: u32::try_from(length).unwrap_or(0),
            ..self
        }
    }

    /// The same for a recording, with its file's start.
    pub(super) fn since(self, base: i64) -> Self {
        Self { base, ..self }
    }

    pub(super) fn of(output: &OutputBuffer, record: Record) -> Option<Self> {
        let mut noted = output.record(record)?;
        // An earlier version's record is shorter, and has no pending write.
        noted.resize(size_of::<Self>(), 0);
        Self::read_from_bytes(&noted).ok()
    }

    pub(super) fn write(&self, output: &OutputBuffer, record: Record) {
        // An output that cannot be written to moves to memory, which the next
        // daemon does not see.
        let _noted = output.write_record(record, self.as_bytes());
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn text(&self) -> Text {
        Text::from_bytes(self.text)
    }

    pub(super) fn extent(&self) -> Extent {
        Extent {
            device: self.device,
            inode: self.inode,
            size: self.size,
        }
    }

    /// The write in progress, rendered from `output`, which may have lost it.
    pub(super) fn pending(&self, output: &OutputBuffer, record: Record) -> Option<Pending> {
        let mut raw = vec![0; usize::try_from(self.pending).ok()?];
        let filters = [Filter::None, Filter::Dot, Filter::Strip];
        let filter = filters.into_iter().find(|one| *one as u8 == self.filter)?;
        if raw.is_empty() || output.read(self.position, &mut raw).ok()? < raw.len() {
            return None;
        }
        let (mut text, mut bytes) = (self.text(), Vec::new());
        let (length, all) = (raw.len(), self.all != 0);
        let done = if record == Record::Recording {
            let stamps = seconds(output, self.position, length, self.base);
            cast::render(&stamps, &raw, all, &mut bytes)
        } else {
            let stamps = match self.timestamps {
                0 => Stamps::new(),
                _ => stamps(output, self.position, length),
            };
            text.render(filter, &stamps, &raw, all, &mut bytes)
        };
        Some(Pending {
            bytes,
            text,
            end: self.position + done as u64,
        })
    }
}

/// A write in progress.
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    /// The text's state after it, and its end in the output.
    pub(super) text: Text,
    pub(super) end: u64,
}
