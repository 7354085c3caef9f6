// SPDX-License-Identifier: MIT
//! Output that no viewer has taken yet.

use std::collections::VecDeque;

/// Bytes on their way to a pty, bounded: the oldest go first.
#[derive(Default)]
pub(crate) struct Backlog {
    bytes: VecDeque<u8>,
    /// Bytes that went since the last marker.
    gap: u64,
    /// Bytes that ever went.
    dropped: u64,
}

impl Backlog {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes, and drops what is beyond `capacity`.
    pub(crate) fn push(&mut self, bytes: &[u8], capacity: usize) {
        self.bytes.extend(bytes);
        self.trim(capacity);
    }

    /// Drops what is beyond `capacity`.
    pub(crate) fn trim(&mut self, capacity: usize) {
        let excess = self.bytes.len().saturating_sub(capacity);
        self.bytes.drain(..excess);
        self.gap += excess as u64;
        self.dropped += excess as u64;
    }

    /// Bytes that were dropped, ever.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The oldest bytes, as many as lie in one piece. Where bytes were
    /// dropped, a note says so.
    pub(crate) fn front(&mut self) -> &[u8] {
        if self.gap > 0 {
            let note = format!("\r\n[vconsoled: {} bytes dropped]\r\n", self.gap);
            self.gap = 0;
            for byte in note.bytes().rev() {
                self.bytes.push_front(byte);
            }
        }
        self.bytes.as_slices().0
    }

    /// Forgets bytes that were taken from the front.
    pub(crate) fn advance(&mut self, taken: usize) {
        self.bytes.drain(..taken);
        if self.bytes.is_empty() {
            // An idle console holds no memory.
            self.bytes = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(backlog: &mut Backlog) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let front = backlog.front().to_vec();
            if front.is_empty() {
                return all;
            }
            backlog.advance(front.len());
            all.extend(front);
        }
    }

    #[test]
    fn what_fits_comes_out_as_it_went_in() {
        let mut backlog = Backlog::default();
        for chunk in [&b"abc"[..], b"", b"defgh"] {
            backlog.push(chunk, 8);
        }
        assert_eq!(backlog.len(), 8);
        assert_eq!(take_all(&mut backlog), b"abcdefgh");
        assert_eq!(backlog.dropped(), 0);
    }

    #[test]
    fn the_oldest_go_first_and_the_gap_is_shown_once() {
        let mut backlog = Backlog::default();
        backlog.push(b"0123456789", 4);
        backlog.push(b"ab", 4);
        assert_eq!(backlog.dropped(), 8);
        assert_eq!(
            take_all(&mut backlog),
            b"\r\n[vconsoled: 8 bytes dropped]\r\n89ab"
        );
        backlog.push(b"x", 4);
        assert_eq!(take_all(&mut backlog), b"x");
    }
}
