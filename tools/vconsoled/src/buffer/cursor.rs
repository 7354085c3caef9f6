// SPDX-License-Identifier: MIT
//! A consumer's position.

use std::io;

use super::OutputBuffer;

/// A consumer's position in an [`OutputBuffer`].
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    position: u64,
    /// The rest of a note about lost bytes, which comes first.
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

    /// Whether the next bytes are output, not a note about lost bytes.
    #[must_use]
    pub fn is_in_output(&self) -> bool {
        self.note.is_empty()
    }

    /// Whether this consumer has read everything.
    #[must_use]
    pub fn is_at_end(&self, output: &OutputBuffer) -> bool {
        self.note.is_empty() && self.position == output.end()
    }

    /// Bytes that were lost for this consumer.
    #[must_use]
    pub fn lost(&self, output: &OutputBuffer) -> u64 {
        self.lost + output.start().saturating_sub(self.position)
    }

    /// Copies out the next bytes, as many as fit, without advancing; 0 if there
    /// are none. A note replaces lost bytes.
    pub fn peek(&mut self, output: &OutputBuffer, buffer: &mut [u8]) -> io::Result<usize> {
        if self.note.is_empty() {
            match output.read(self.position, buffer) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.skip(output.start()),
                result => return result,
            }
        }
        let length = self.note.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.note[..length]);
        Ok(length)
    }

    /// Advances past bytes that [`peek`](Self::peek) returned.
    pub fn advance(&mut self, length: usize) {
        if self.note.is_empty() {
            self.position += length as u64;
        } else {
            self.note.drain(..length);
        }
    }

    /// Skips to `position` and counts the gap as lost.
    fn skip(&mut self, position: u64) {
        let gap = position.saturating_sub(self.position);
        self.position += gap;
        self.lost += gap;
        self.note = format!("\r\n[{gap} bytes lost]\r\n").into_bytes();
    }
}
