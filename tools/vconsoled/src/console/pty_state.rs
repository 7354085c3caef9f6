// SPDX-License-Identifier: MIT
//! The pty's position, and its record for the next daemon.

use std::io;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Console;
use crate::buffer::{Cursor, OutputBuffer, Record};

impl Console {
    pub(super) fn record_pty(&self) -> io::Result<()> {
        self.output
            .write_record(Record::Pty, self.pty_record().as_bytes())
    }

    pub(super) fn pty_record(&self) -> PtyRecord {
        PtyRecord {
            position: self.shown.position(),
        }
    }
}

/// The pty's record for the next daemon.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct PtyRecord {
    position: u64,
}

impl PtyRecord {
    fn of(output: &OutputBuffer) -> Option<Self> {
        // An earlier version's record is longer.
        let (noted, _) = Self::read_from_prefix(&output.record(Record::Pty)?).ok()?;
        Some(noted)
    }
}

/// The last daemon's position of the pty, or the start of the scrollback.
pub(super) fn shown(output: &OutputBuffer) -> Cursor {
    let noted = PtyRecord::of(output);
    Cursor::at(noted.map_or(output.scrollback(), |noted| {
        noted.position.max(output.shown()).min(output.end())
    }))
}
