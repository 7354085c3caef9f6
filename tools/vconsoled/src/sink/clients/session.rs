// SPDX-License-Identifier: MIT
//! One viewer on a socket: pulls output from the history at its own pace, and
//! types. It speaks frames, or, on a console's own socket, plain bytes.

use std::io::{self, Read, Write};

use console_proto::Mode;
use console_proto::frame::{self, HEADER, PAYLOAD_MAX};
use mio::net::UnixStream;
use vpl011::ring::layout::OUT_SIZE;

use crate::buffer::History;
use crate::input::journal::{Inbox, Recipient};
use crate::sink::clients::send_queue::Outbox;

/// Output that is on its way to one viewer, at most, in bytes. The kernel
/// holds some more; everything else stays in the history.
const CHUNK: usize = OUT_SIZE;

/// How a viewer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    /// Bytes as they are, and notes among them.
    Plain,
    /// Frames.
    Framed,
}

/// One direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Worth a try.
    Ready,
    /// Not before an event says so.
    Waiting,
    /// Not ever.
    Closed,
}

impl Way {
    fn wake(&mut self, ready: bool) {
        if ready && *self == Self::Waiting {
            *self = Self::Ready;
        }
    }
}

/// A viewer.
pub(crate) struct Viewer {
    stream: UnixStream,
    speech: Speech,
    /// What it may have, and what it has now.
    allowed: Mode,
    mode: Mode,
    /// It is to be told of its mode; of the last one, if there were several.
    mode_changed: bool,
    /// Of the next byte to send.
    position: u64,
    lost: u64,
    /// On its way, of which so many are gone.
    sending: Vec<u8>,
    sent: usize,
    /// What the service manager keeps of it, if it does: its name, and what is
    /// on its way instead.
    kept: Option<(String, Outbox)>,
    /// A frame's header, and a short payload, as far as it came.
    received: Vec<u8>,
    /// Of a frame of data, or of one that means nothing, what is to come.
    data: usize,
    skip: usize,
    /// What it types, and what it is shown.
    input: Way,
    output: Way,
    /// The far end has closed both ways; what it typed may still be here.
    hung_up: bool,
}

impl Viewer {
    /// A viewer whose next byte is at `position`, and that is told `greeting`
    /// first.
    pub(crate) fn new(
        stream: UnixStream,
        speech: Speech,
        mode: Mode,
        position: u64,
        greeting: Vec<u8>,
    ) -> Self {
        Self {
            stream,
            speech,
            allowed: mode,
            mode,
            mode_changed: false,
            position,
            lost: 0,
            sending: greeting,
            sent: 0,
            kept: None,
            received: Vec::new(),
            data: 0,
            skip: 0,
            input: Way::Ready,
            output: Way::Ready,
            hung_up: false,
        }
    }

    /// A viewer of plain bytes whom the service manager keeps by that name.
    pub(crate) fn kept(stream: UnixStream, mode: Mode, name: String, outbox: Outbox) -> Self {
        let position = outbox.position();
        let mut viewer = Self::new(stream, Speech::Plain, mode, position, Vec::new());
        viewer.kept = Some((name, outbox));
        viewer
    }

    /// By what name the service manager keeps it.
    pub(crate) fn kept_name(&self) -> Option<&str> {
        self.kept.as_ref().map(|(name, _)| name.as_str())
    }

    /// Position of the next byte, for one who still takes them.
    pub(crate) fn position(&self) -> Option<u64> {
        (self.output != Way::Closed).then_some(self.position)
    }

    /// Bytes it never saw and never will.
    pub(crate) fn lost(&self, history: &History) -> u64 {
        let gap = match self.output {
            Way::Closed => 0,
            _ => history.start().saturating_sub(self.position),
        };
        self.lost + gap
    }

    /// Whether it has closed both ways.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Whether nothing more can come of it.
    pub(crate) fn is_over(&self) -> bool {
        self.input == Way::Closed && self.output == Way::Closed
    }

    /// Whether it may have typed something for the guest.
    pub(crate) fn has_input(&self) -> bool {
        self.input == Way::Ready && self.allowed == Mode::ReadWrite
    }

    /// Whether it could take more output now.
    fn wants(&self, history: &History) -> bool {
        let waiting = self.is_sending() || self.mode_changed || self.position < history.end();
        self.output == Way::Ready && waiting
    }

    /// Whether it has something to do that needs no other event.
    pub(crate) fn is_busy(&self, history: &History) -> bool {
        let drains = self.allowed == Mode::ReadOnly && self.input == Way::Ready;
        self.wants(history) || drains
    }

    /// Its socket has become ready.
    pub(crate) fn on_ready(&mut self, event: &mio::event::Event) {
        self.input
            .wake(event.is_readable() || event.is_read_closed());
        self.output.wake(event.is_writable());
        // Of a Unix socket: the far end has closed, not just its one half.
        if event.is_write_closed() || event.is_error() {
            self.hung_up = true;
            self.output = Way::Closed;
            self.sending = Vec::new();
            self.sent = 0;
        }
    }

    fn is_sending(&self) -> bool {
        let outbox = self.kept.as_ref().map(|(_, outbox)| outbox);
        self.sent < self.sending.len() || outbox.is_some_and(|outbox| !outbox.is_empty())
    }

    /// Sends what it takes, `budget` bytes at most.
    pub(crate) fn feed(&mut self, history: &History, mut budget: usize) -> io::Result<()> {
        while budget > 0 && self.wants(history) {
            if !self.is_sending() && !self.fill(history)? {
                break;
            }
            match self.send() {
                Ok(length) => {
                    budget = budget.saturating_sub(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.output = Way::Waiting;
                }
                Err(_) => self.output = Way::Closed,
            }
            if !self.is_sending() {
                // An idle viewer holds no memory.
                (self.sending, self.sent) = (Vec::new(), 0);
            }
        }
        Ok(())
    }

    /// Sends some of what is on its way.
    fn send(&mut self) -> io::Result<usize> {
        if let Some((_, outbox)) = &mut self.kept {
            return outbox.send(&self.stream);
        }
        let length = self.stream.write(&self.sending[self.sent..])?;
        self.sent += length;
        Ok(length)
    }

    /// Takes up the next bytes of the history, or a note about those that are
    /// not in it any more; `false` when there are none.
    fn fill(&mut self, history: &History) -> io::Result<bool> {
        self.sent = 0;
        if std::mem::take(&mut self.mode_changed) {
            self.sending = frame::mode(self.mode);
            return Ok(true);
        }
        let mut buffer = [0; CHUNK];
        match history.read(self.position, &mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                let bytes = &buffer[..length];
                self.position += length as u64;
                match (&mut self.kept, self.speech) {
                    (Some((_, outbox)), _) => {
                        if let Err(error) = outbox.add(bytes) {
                            self.lose_outbox(&error);
                        }
                    }
                    (None, Speech::Plain) => self.sending = bytes.to_vec(),
                    (None, Speech::Framed) => self.sending = frame::data(bytes),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gap = history.start().saturating_sub(self.position);
                self.position += gap;
                self.lost += gap;
                let note = format!("\r\n[{gap} bytes lost]\r\n").into_bytes();
                match (&mut self.kept, self.speech) {
                    (Some((_, outbox)), _) => {
                        if let Err(error) = outbox.lose(gap, &note) {
                            self.lose_outbox(&error);
                        }
                    }
                    (None, Speech::Plain) => self.sending = note,
                    (None, Speech::Framed) => self.sending = frame::lost(gap),
                }
            }
            Err(error) => return Err(error),
        }
        Ok(self.is_sending())
    }

    /// There is no memory for what is on its way: better no viewer than one
    /// with a gap.
    fn lose_outbox(&mut self, why: &io::Error) {
        tracing::warn!("a viewer is let go of: {why}");
        (self.input, self.output) = (Way::Closed, Way::Closed);
    }

    /// Takes what it typed for the guest, which may be nothing yet; `None`
    /// when there is no more now. By way of the inbox, if there is one and the
    /// viewer is kept.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        inbox: Option<(&Inbox, Recipient)>,
    ) -> Option<usize> {
        let inbox = inbox.filter(|_| self.kept.is_some());
        let typed = match self.speech {
            Speech::Plain => self.receive(buffer, inbox)?,
            Speech::Framed => self.read_frames(buffer)?,
        };
        Some(match self.mode {
            Mode::ReadWrite => typed,
            Mode::ReadOnly => 0,
        })
    }

    /// Takes and forgets what somebody types who may only read: how the far
    /// end's close is noticed. The rest waits for the next turn.
    pub(crate) fn drain(&mut self) {
        let mut nothing = [0; CHUNK];
        if self.allowed == Mode::ReadOnly && self.input == Way::Ready {
            let _forgotten = self.read(&mut nothing, None);
        }
    }

    /// One step through frames: bytes of a frame of data, or 0.
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
            self.heed();
        }
        Some(0)
    }

    /// How long the header at hand is, with the mode that may follow it.
    fn wanted(&self) -> usize {
        match *self.received {
            [frame::MODE, 1, 0, 0, 0, ..] => HEADER + 1,
            _ => HEADER,
        }
    }

    fn heed(&mut self) {
        match *self.received {
            [frame::MODE, 1, 0, 0, 0] => return,
            [frame::MODE, 1, 0, 0, 0, mode] => {
                self.mode = match mode {
                    1 => self.allowed,
                    _ => Mode::ReadOnly,
                };
                self.sending.extend(frame::mode(self.mode));
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

    /// Reads from its socket; `None` when there is nothing now, or ever.
    fn receive(&mut self, buffer: &mut [u8], inbox: Option<(&Inbox, Recipient)>) -> Option<usize> {
        loop {
            let received = match inbox {
                Some((inbox, recipient)) => inbox.take(recipient, &self.stream, buffer),
                None => self.stream.read(buffer),
            };
            match received {
                Ok(0) => self.input = Way::Closed,
                Ok(length) => return Some(length),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.input = Way::Waiting;
                }
                Err(_) => self.input = Way::Closed,
            }
            return None;
        }
    }

    /// Says, as far as it takes it now, why there will be no more.
    pub(crate) fn end(mut self, history: &History, why: &str) {
        // Whoever is slow has been told nothing he could have read.
        let _rest = self.feed(history, usize::MAX);
        if self.speech == Speech::Framed && !self.is_sending() {
            let _told = self.stream.write(&frame::ended(why));
        }
    }
}
