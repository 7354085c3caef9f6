// SPDX-License-Identifier: MIT
//! A viewer's input, and its frames.

use std::io::{self, Read as _};
use std::time::Instant;

use console_proto::Mode;
use console_proto::frame::{self, HEADER, PAYLOAD_MAX};

use super::{CHUNK, Encoding, Readiness, Session};
use crate::input::journal::{InputJournal, Recipient};

impl Session {
    /// Reads input for the guest, possibly none yet; `None` if there is no more
    /// now. Uses the input journal, if there is one and the session is stored.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        input_journal: Option<(&InputJournal, Recipient)>,
    ) -> Option<usize> {
        let input_journal = input_journal.filter(|_| self.stored.is_some());
        let typed = match self.encoding {
            Encoding::Plain => self.receive(buffer, input_journal)?,
            Encoding::Framed => self.read_frames(buffer)?,
        };
        if typed == 0 || !self.types() {
            return Some(0);
        }
        self.active = Instant::now();
        Some(typed)
    }

    /// Discards the input of a read-only viewer, to detect that the far end
    /// closes. The rest waits for the next slice.
    pub(crate) fn drain(&mut self) {
        let mut nothing = [0; CHUNK];
        if self.allowed == Mode::ReadOnly && self.input == Readiness::Ready {
            let _forgotten = self.read(&mut nothing, None);
        }
    }

    /// One step of decoding: bytes of a data frame, or 0.
    fn read_frames(&mut self, buffer: &mut [u8]) -> Option<usize> {
        if self.data > 0 {
            let want = buffer.len().min(self.data);
            let length = self.receive(&mut buffer[..want], None)?;
            self.data -= length;
            return Some(length);
        }
        if self.skip > 0 {
            let mut nothing = [0; PAYLOAD_MAX];
            let want = nothing.len().min(self.skip);
            self.skip -= self.receive(&mut nothing[..want], None)?;
            return Some(0);
        }
        let mut part = [0; HEADER + 1];
        let want = self.wanted() - self.received.len();
        let length = self.receive(&mut part[..want], None)?;
        self.received.extend_from_slice(&part[..length]);
        if self.received.len() == self.wanted() {
            self.handle_header();
        }
        Some(0)
    }

    /// Size of the current header, with the mode that may follow it.
    fn wanted(&self) -> usize {
        match *self.received {
            [frame::MODE, 1, 0, 0, 0, ..] => HEADER + 1,
            _ => HEADER,
        }
    }

    fn handle_header(&mut self) {
        match *self.received {
            [frame::MODE, 1, 0, 0, 0] => return,
            [frame::MODE, 1, 0, 0, 0, mode] => {
                let before = self.types();
                self.mode = match mode {
                    1 => self.allowed,
                    _ => Mode::ReadOnly,
                };
                self.mode_changed = true;
                self.tell_mode(before, "asked");
            }
            [kind, a, b, c, d] => {
                let length = u32::from_le_bytes([a, b, c, d]);
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if kind == frame::DATA {
                    self.data = length;
                } else {
                    self.skip = length;
                }
            }
            _ => {}
        }
        self.received = Vec::new();
    }

    /// Reads from its socket; `None` if there is nothing now, or ever.
    fn receive(
        &mut self,
        buffer: &mut [u8],
        input_journal: Option<(&InputJournal, Recipient)>,
    ) -> Option<usize> {
        loop {
            let received = match input_journal {
                Some((input_journal, recipient)) => {
                    input_journal.take(recipient, &self.stream, buffer)
                }
                None => self.stream.read(buffer),
            };
            match received {
                Ok(0) => self.input = Readiness::Closed,
                Ok(length) => return Some(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.input = Readiness::Waiting;
                }
                Err(_) => self.input = Readiness::Closed,
            }
            return None;
        }
    }
}
