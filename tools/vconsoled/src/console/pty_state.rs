// SPDX-License-Identifier: MIT
//! How far the pty got and how many have it open, and what the next daemon is
//! told of that.

use std::io;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Console;
use crate::buffer::{Cursor, History, Note};

impl Console {
    /// The number of viewers has changed.
    pub(crate) fn set_viewers(&mut self, viewers: usize) {
        self.viewers = viewers;
        // For a daemon that finds the pty open; it can do without.
        let _noted = self.note_pty();
    }

    /// The pty is one that the last daemon left, and somebody has it open.
    pub(crate) fn resume_viewers(&mut self) {
        let noted = PtyNote::of(&self.history);
        self.viewers = noted.map_or(1, |noted| {
            usize::try_from(noted.viewers).unwrap_or(1).max(1)
        });
    }

    pub(super) fn note_pty(&self) -> io::Result<()> {
        self.history.note(Note::Pty, self.pty_note().as_bytes())
    }

    pub(super) fn pty_note(&self) -> PtyNote {
        PtyNote {
            position: self.shown.position(),
            viewers: self.viewers as u64,
        }
    }
}

/// What the next daemon is told of the pty.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct PtyNote {
    position: u64,
    viewers: u64,
}

impl PtyNote {
    fn of(history: &History) -> Option<Self> {
        Self::read_from_bytes(&history.noted(Note::Pty)?).ok()
    }
}

/// Where the pty of the last daemon stopped, or everything there is.
pub(super) fn shown(history: &History) -> Cursor {
    let noted = PtyNote::of(history);
    Cursor::at(noted.map_or(history.scrollback(), |noted| {
        noted.position.max(history.shown()).min(history.end())
    }))
}
