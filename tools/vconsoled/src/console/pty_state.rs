// SPDX-License-Identifier: MIT
//! How far the pty got and how many have it open, and what the next daemon is
//! told of that.

use std::io;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Console;
use crate::buffer::{Cursor, OutputBuffer, Record};

impl Console {
    /// The number of viewers has changed.
    pub(crate) fn set_pty_opens(&mut self, pty_opens: usize) {
        self.pty_opens = pty_opens;
        // For a daemon that finds the pty open; it can do without.
        let _noted = self.record_pty();
    }

    /// The pty is one that the last daemon left, and somebody has it open.
    pub(crate) fn resume_pty_opens(&mut self) {
        let noted = PtyRecord::of(&self.output);
        self.pty_opens = noted.map_or(1, |noted| {
            usize::try_from(noted.pty_opens).unwrap_or(1).max(1)
        });
    }

    pub(super) fn record_pty(&self) -> io::Result<()> {
        self.output
            .write_record(Record::Pty, self.pty_record().as_bytes())
    }

    pub(super) fn pty_record(&self) -> PtyRecord {
        PtyRecord {
            position: self.shown.position(),
            pty_opens: self.pty_opens as u64,
        }
    }
}

/// What the next daemon is told of the pty.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct PtyRecord {
    position: u64,
    pty_opens: u64,
}

impl PtyRecord {
    fn of(output: &OutputBuffer) -> Option<Self> {
        Self::read_from_bytes(&output.record(Record::Pty)?).ok()
    }
}

/// Where the pty of the last daemon stopped, or everything there is.
pub(super) fn shown(output: &OutputBuffer) -> Cursor {
    let noted = PtyRecord::of(output);
    Cursor::at(noted.map_or(output.scrollback(), |noted| {
        noted.position.max(output.shown()).min(output.end())
    }))
}
