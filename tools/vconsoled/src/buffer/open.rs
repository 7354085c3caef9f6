// SPDX-License-Identifier: MIT
//! Opens a buffer: in memory, or from the file that an earlier process left.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use zerocopy::FromBytes as _;

use super::checkpoint::{Checkpoint, Output};
use super::file::{memory, open};
use super::mapping;
use super::records::HEADER;
use super::times::{MARKS, Times};
use super::{CAPACITY, OutputBuffer, PIECE, RECORD_MAX, Record, STEP, Writer};

impl OutputBuffer {
    /// A buffer in memory, for this process only. It keeps `scrollback` bytes (at
    /// most [`CAPACITY`] less one [`STEP`]) for new consumers.
    pub fn in_memory(scrollback: u64) -> io::Result<Self> {
        let output = Self::over(memory()?, scrollback);
        output.in_memory.store(true, Ordering::Relaxed);
        Ok(output)
    }

    /// The buffer in the file at `path`. The file is created if missing, and
    /// cleared if it is not `owner`'s (at most [`RECORD_MAX`] bytes are compared)
    /// or is invalid. Fails if another process has it, or if it is not a regular
    /// file.
    pub fn open(path: &Path, owner: &str, scrollback: u64) -> io::Result<Self> {
        let file = open(path, true)?;
        let length = file.metadata()?.len();
        let mut output = Self::over(file, scrollback);
        let owner = &owner.as_bytes()[..owner.len().min(RECORD_MAX)];
        if length > 0 && !output.take_up(owner, length) {
            tracing::warn!("{}: not this console's; it begins anew", path.display());
            output.file().set_len(0)?;
            output = Self::over(
                output
                    .file
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner),
                scrollback,
            );
        }
        output.write_record(Record::Owner, owner)?;
        Ok(output)
    }

    /// The buffer that a daemon left at `path`, of any owner; `None` if there is
    /// none or it is invalid.
    #[must_use]
    pub fn adopt(path: &Path) -> Option<Self> {
        let file = open(path, false).ok()?;
        let length = file.metadata().ok()?.len();
        let mut output = Self::over(file, 0);
        let owner = output.record(Record::Owner)?;
        output.take_up(&owner, length).then_some(output)
    }

    pub(super) fn over(file: File, scrollback: u64) -> Self {
        Self {
            file: RwLock::new(file),
            in_memory: AtomicBool::new(false),
            scrollback: scrollback.min(CAPACITY - STEP as u64),
            start: AtomicU64::new(0),
            end: AtomicU64::new(0),
            writer: Mutex::default(),
        }
    }

    /// Restores the state from the file's records, if they are valid and `owner`'s.
    fn take_up(&mut self, owner: &[u8], length: u64) -> bool {
        if self.record(Record::Owner).as_deref() != Some(owner) {
            return false;
        }
        let Some(record) = self.record(Record::Output) else {
            // Created, without output.
            return length < HEADER;
        };
        let Ok(mut output) = Output::read_from_bytes(&record) else {
            return false;
        };
        output.go_on_to(mapping::reached(&self.file()));
        let kept = output.end.checked_sub(output.start);
        if kept.is_none_or(|kept| kept > CAPACITY) || length < HEADER + output.end.min(CAPACITY) {
            return false;
        }
        // A write that was interrupted may have damaged the oldest bytes.
        let torn = output
            .end
            .saturating_add(STEP as u64)
            .saturating_sub(CAPACITY);
        let start = output.start.max(torn);
        self.start = start.into();
        self.end = output.end.into();
        let writer = Writer {
            checkpoint: Checkpoint {
                ring: output.ring,
                out_cons: output.out_cons,
            },
            freed: start / PIECE * PIECE,
            mapping: None,
            times: (length > MARKS)
                .then(|| Times::read(&self.file(), output.end).unwrap_or_default()),
            readers: Vec::new(),
        };
        self.writer = Mutex::new(writer);
        true
    }
}
