// SPDX-License-Identifier: MIT
//! One viewer on a socket: reads the output buffer at its own pace, and types. It
//! uses frames, or, on a console's own socket, plain bytes.

mod input;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use console_proto::Mode;
use console_proto::frame;
use mio::net::UnixStream;
use vpl011::ring::layout::OUT_SIZE;

use crate::buffer::OutputBuffer;
use crate::sink::clients::send_queue::SendQueue;
use crate::sink::clients::visitor::Visitor;

/// Most output queued for one viewer, in bytes. The kernel holds some more; the
/// rest stays in the output buffer.
const CHUNK: usize = OUT_SIZE;

/// Most notices queued for a viewer.
const NOTICES_MAX: usize = 4;
/// The reason for closing an idle session.
pub(crate) const IDLE: &str = "idle";

/// The encoding of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Plain bytes, with notes among them.
    Plain,
    /// Frames.
    Framed,
}

/// One direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Ready to try.
    Ready,
    /// Waits for an event.
    Waiting,
    /// Closed for good.
    Closed,
}

impl Readiness {
    fn wake(&mut self, ready: bool) {
        if ready && *self == Self::Waiting {
            *self = Self::Ready;
        }
    }
}

/// A session.
pub(crate) struct Session {
    stream: UnixStream,
    visitor: Visitor,
    encoding: Encoding,
    /// The allowed mode, and the requested one.
    allowed: Mode,
    mode: Mode,
    /// Another viewer types exclusively.
    silenced: bool,
    /// Time of its last input, or of its start.
    active: Instant,
    /// Queued notices.
    notices: VecDeque<String>,
    /// A frame with the latest mode is due.
    mode_changed: bool,
    /// Position of the next byte to send.
    position: u64,
    lost: u64,
    /// Bytes being sent, and how many were sent.
    sending: Vec<u8>,
    sent: usize,
    /// If it is stored with the service manager: its name, and the queue that
    /// replaces `sending`.
    stored: Option<(String, SendQueue)>,
    /// A frame's header with a short payload, as far as received.
    received: Vec<u8>,
    /// Bytes still to come, of a data frame, or of an unknown one.
    data: usize,
    skip: usize,
    /// Both directions of the socket.
    input: Readiness,
    output: Readiness,
    /// The far end has closed both ways; its input may still be unread.
    hung_up: bool,
}

impl Session {
    /// A session whose next byte is at `position`, and which starts with
    /// `greeting`.
    pub(crate) fn new(
        stream: UnixStream,
        visitor: Visitor,
        encoding: Encoding,
        mode: Mode,
        position: u64,
        greeting: Vec<u8>,
    ) -> Self {
        visitor.tell_begin(mode);
        Self {
            stream,
            visitor,
            encoding,
            allowed: mode,
            mode,
            silenced: false,
            active: Instant::now(),
            notices: VecDeque::new(),
            mode_changed: false,
            position,
            lost: 0,
            sending: greeting,
            sent: 0,
            stored: None,
            received: Vec::new(),
            data: 0,
            skip: 0,
            input: Readiness::Ready,
            output: Readiness::Ready,
            hung_up: false,
        }
    }

    /// A session with plain bytes that is stored under that name.
    pub(crate) fn stored(
        stream: UnixStream,
        visitor: Visitor,
        mode: Mode,
        name: String,
        queue: SendQueue,
    ) -> Self {
        let position = queue.position();
        let mut session = Self::new(stream, visitor, Encoding::Plain, mode, position, Vec::new());
        session.stored = Some((name, queue));
        session
    }

    /// The attached user.
    pub(crate) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// Makes it read-only.
    pub(crate) fn take_keyboard(&mut self) {
        let before = self.types();
        self.allowed = Mode::ReadOnly;
        if std::mem::replace(&mut self.mode, Mode::ReadOnly) == Mode::ReadWrite {
            self.mode_changed = self.encoding == Encoding::Framed;
        }
        self.tell_mode(before, "denied");
    }

    /// Records a change of its mode.
    fn tell_mode(&self, before: bool, why: &'static str) {
        if self.types() != before {
            self.visitor.tell_mode(self.types(), why);
        }
    }

    /// Ignores its input from now on, or accepts it again if it may type.
    pub(crate) fn silence(&mut self, silenced: bool) {
        let before = self.types();
        self.silenced = silenced;
        if self.types() != before {
            self.mode_changed = self.encoding == Encoding::Framed;
            // A viewer that could not type was not idle.
            self.active = Instant::now();
        }
        self.tell_mode(before, if silenced { "exclusive" } else { "released" });
    }

    /// The mode in force.
    fn effective_mode(&self) -> Mode {
        if self.silenced {
            Mode::ReadOnly
        } else {
            self.mode
        }
    }

    /// Whether its input reaches the guest.
    pub(crate) fn types(&self) -> bool {
        self.effective_mode() == Mode::ReadWrite
    }

    /// Time since its last input.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.active)
    }

    /// Queues a notice; `false` if too many are queued.
    pub(crate) fn notify(&mut self, text: &str) -> bool {
        let has_room = self.notices.len() < NOTICES_MAX && self.output != Readiness::Closed;
        if has_room {
            self.notices.push_back(text.to_owned());
        }
        has_room
    }

    /// Its name with the service manager.
    pub(crate) fn stored_name(&self) -> Option<&str> {
        self.stored.as_ref().map(|(name, _)| name.as_str())
    }

    /// Position of the next byte, unless the output is closed.
    pub(crate) fn position(&self) -> Option<u64> {
        (self.output != Readiness::Closed).then_some(self.position)
    }

    /// Bytes it has lost.
    pub(crate) fn lost(&self, output: &OutputBuffer) -> u64 {
        let gap = match self.output {
            Readiness::Closed => 0,
            _ => output.start().saturating_sub(self.position),
        };
        self.lost + gap
    }

    /// Whether it has closed both ways.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Whether both directions are closed.
    pub(crate) fn is_over(&self) -> bool {
        self.input == Readiness::Closed && self.output == Readiness::Closed
    }

    /// Whether it may have input for the guest.
    pub(crate) fn has_input(&self) -> bool {
        self.input == Readiness::Ready && self.allowed == Mode::ReadWrite
    }

    /// Whether output can be sent now.
    fn wants(&self, output: &OutputBuffer) -> bool {
        let told = self.mode_changed || !self.notices.is_empty();
        let waiting = self.is_sending() || told || self.position < output.end();
        self.output == Readiness::Ready && waiting
    }

    /// Whether it can continue without another event.
    pub(crate) fn is_busy(&self, output: &OutputBuffer) -> bool {
        let drains = self.allowed == Mode::ReadOnly && self.input == Readiness::Ready;
        self.wants(output) || drains
    }

    /// Handles readiness of its socket.
    pub(crate) fn on_ready(&mut self, event: &mio::event::Event) {
        self.input
            .wake(event.is_readable() || event.is_read_closed());
        self.output.wake(event.is_writable());
        // For a Unix socket: the far end has closed completely, not only one half.
        if event.is_write_closed() || event.is_error() {
            self.hung_up = true;
            self.output = Readiness::Closed;
            self.sending = Vec::new();
            self.sent = 0;
        }
    }

    fn is_sending(&self) -> bool {
        let queue = self.stored.as_ref().map(|(_, queue)| queue);
        self.sent < self.sending.len() || queue.is_some_and(|queue| !queue.is_empty())
    }

    /// Sends what the socket takes, at most `budget` bytes.
    pub(crate) fn feed(&mut self, output: &OutputBuffer, mut budget: usize) -> io::Result<()> {
        while budget > 0 && self.wants(output) {
            if !self.is_sending() && !self.fill(output)? {
                break;
            }
            match self.send() {
                Ok(length) => {
                    budget = budget.saturating_sub(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.output = Readiness::Waiting;
                }
                Err(_) => self.output = Readiness::Closed,
            }
            if !self.is_sending() {
                // An idle session holds no memory.
                (self.sending, self.sent) = (Vec::new(), 0);
            }
        }
        Ok(())
    }

    /// Sends some of the queued bytes.
    fn send(&mut self) -> io::Result<usize> {
        if let Some((_, queue)) = &mut self.stored {
            return queue.send(&self.stream);
        }
        let length = self.stream.write(&self.sending[self.sent..])?;
        self.sent += length;
        Ok(length)
    }

    /// Queues the next bytes of the output, or a note about lost ones; `false` if
    /// there are none.
    fn fill(&mut self, output: &OutputBuffer) -> io::Result<bool> {
        self.sent = 0;
        if std::mem::take(&mut self.mode_changed) {
            self.sending = frame::mode(self.effective_mode());
            return Ok(true);
        }
        if let Some(text) = self.notices.pop_front() {
            self.fill_note(0, &text, frame::notice(&text));
            return Ok(self.is_sending());
        }
        let mut buffer = [0; CHUNK];
        match output.read(self.position, &mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                let bytes = &buffer[..length];
                self.position += length as u64;
                match (&mut self.stored, self.encoding) {
                    (Some((_, queue)), _) => {
                        if let Err(error) = queue.add(bytes) {
                            self.fail_queue(&error);
                        }
                    }
                    (None, Encoding::Plain) => self.sending = bytes.to_vec(),
                    (None, Encoding::Framed) => self.sending = frame::data(bytes),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let gap = output.start().saturating_sub(self.position);
                self.position += gap;
                self.lost += gap;
                let framed = frame::lost(gap);
                self.fill_note(gap, &format!("{gap} bytes lost"), framed);
            }
            Err(error) => return Err(error),
        }
        Ok(self.is_sending())
    }

    /// Queues what replaces `gap` bytes of the stream: a frame, or a note in
    /// plain bytes.
    fn fill_note(&mut self, gap: u64, note: &str, framed: Vec<u8>) {
        let note = format!("\r\n[{note}]\r\n").into_bytes();
        match (&mut self.stored, self.encoding) {
            (Some((_, queue)), _) => {
                if let Err(error) = queue.lose(gap, &note) {
                    self.fail_queue(&error);
                }
            }
            (None, Encoding::Plain) => self.sending = note,
            (None, Encoding::Framed) => self.sending = framed,
        }
    }

    /// Closes the session if its queue cannot grow: a gap would be worse.
    fn fail_queue(&mut self, why: &io::Error) {
        tracing::warn!("a viewer is disconnected: {why}");
        (self.input, self.output) = (Readiness::Closed, Readiness::Closed);
    }

    /// Closes the session after sending what the socket takes now, with the reason.
    pub(crate) fn close(mut self, output: &OutputBuffer, why: &str) {
        // A slow viewer gets no reason: it could not read it.
        let _rest = self.feed(output, usize::MAX);
        self.cut_off(why);
    }

    /// Closes the session without the unsent output.
    pub(crate) fn cut_off(mut self, why: &str) {
        self.visitor.tell_end(why);
        let last_output = match self.encoding {
            _ if self.is_sending() => return,
            Encoding::Framed => frame::ended(why),
            Encoding::Plain if why == IDLE => b"\r\n[nothing was typed for too long]\r\n".to_vec(),
            Encoding::Plain => return,
        };
        let _told = self.stream.write(&last_output);
    }
}
