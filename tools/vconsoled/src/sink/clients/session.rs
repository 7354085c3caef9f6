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

/// Output that is on its way to one viewer, at most, in bytes. The kernel
/// holds some more; everything else stays in the output.
const CHUNK: usize = OUT_SIZE;

/// Texts that may wait for a viewer.
const NOTICES_MAX: usize = 4;
/// Why somebody is sent away who typed nothing for too long.
pub(crate) const IDLE: &str = "idle";

/// How a viewer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Bytes as they are, and notes among them.
    Plain,
    /// Frames.
    Framed,
}

/// One direction of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Worth a try.
    Ready,
    /// Not before an event says so.
    Waiting,
    /// Not ever.
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
    /// What it may have, and what it has now.
    allowed: Mode,
    mode: Mode,
    /// Somebody else types alone.
    silenced: bool,
    /// When it typed last, or came.
    active: Instant,
    /// What it is to be told apart from the stream.
    notices: VecDeque<String>,
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
    stored: Option<(String, SendQueue)>,
    /// A frame's header, and a short payload, as far as it came.
    received: Vec<u8>,
    /// Of a frame of data, or of one that means nothing, what is to come.
    data: usize,
    skip: usize,
    /// What it types, and what it is shown.
    input: Readiness,
    output: Readiness,
    /// The far end has closed both ways; what it typed may still be here.
    hung_up: bool,
}

impl Session {
    /// A viewer whose next byte is at `position`, and that is told `greeting`
    /// first.
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

    /// A viewer of plain bytes whom the service manager keeps by that name.
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

    /// Who it is.
    pub(crate) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// Takes away what it may do beyond watching.
    pub(crate) fn take_keyboard(&mut self) {
        let before = self.types();
        self.allowed = Mode::ReadOnly;
        if std::mem::replace(&mut self.mode, Mode::ReadOnly) == Mode::ReadWrite {
            self.mode_changed = self.encoding == Encoding::Framed;
        }
        self.tell_mode(before, "denied");
    }

    /// Says that its mode is another one now, if it is.
    fn tell_mode(&self, before: bool, why: &'static str) {
        if self.types() != before {
            self.visitor.tell_mode(self.types(), why);
        }
    }

    /// Has nothing that it types heard, or all again that it may type.
    pub(crate) fn silence(&mut self, silenced: bool) {
        let before = self.types();
        self.silenced = silenced;
        if self.types() != before {
            self.mode_changed = self.encoding == Encoding::Framed;
            // Who could not type was not idle.
            self.active = Instant::now();
        }
        self.tell_mode(before, if silenced { "exclusive" } else { "released" });
    }

    /// What it may do at this moment.
    fn effective_mode(&self) -> Mode {
        if self.silenced {
            Mode::ReadOnly
        } else {
            self.mode
        }
    }

    /// Whether what it types reaches the guest.
    pub(crate) fn types(&self) -> bool {
        self.effective_mode() == Mode::ReadWrite
    }

    /// For how long it has typed nothing.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.active)
    }

    /// Has it told something; `false` if too much waits to be told already.
    pub(crate) fn notify(&mut self, text: &str) -> bool {
        let has_room = self.notices.len() < NOTICES_MAX && self.output != Readiness::Closed;
        if has_room {
            self.notices.push_back(text.to_owned());
        }
        has_room
    }

    /// By what name the service manager keeps it.
    pub(crate) fn stored_name(&self) -> Option<&str> {
        self.stored.as_ref().map(|(name, _)| name.as_str())
    }

    /// Position of the next byte, for one who still takes them.
    pub(crate) fn position(&self) -> Option<u64> {
        (self.output != Readiness::Closed).then_some(self.position)
    }

    /// Bytes it never saw and never will.
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

    /// Whether nothing more can come of it.
    pub(crate) fn is_over(&self) -> bool {
        self.input == Readiness::Closed && self.output == Readiness::Closed
    }

    /// Whether it may have typed something for the guest.
    pub(crate) fn has_input(&self) -> bool {
        self.input == Readiness::Ready && self.allowed == Mode::ReadWrite
    }

    /// Whether it could take more output now.
    fn wants(&self, output: &OutputBuffer) -> bool {
        let told = self.mode_changed || !self.notices.is_empty();
        let waiting = self.is_sending() || told || self.position < output.end();
        self.output == Readiness::Ready && waiting
    }

    /// Whether it has something to do that needs no other event.
    pub(crate) fn is_busy(&self, output: &OutputBuffer) -> bool {
        let drains = self.allowed == Mode::ReadOnly && self.input == Readiness::Ready;
        self.wants(output) || drains
    }

    /// Its socket has become ready.
    pub(crate) fn on_ready(&mut self, event: &mio::event::Event) {
        self.input
            .wake(event.is_readable() || event.is_read_closed());
        self.output.wake(event.is_writable());
        // Of a Unix socket: the far end has closed, not just its one half.
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

    /// Sends what it takes, `budget` bytes at most.
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
                // An idle viewer holds no memory.
                (self.sending, self.sent) = (Vec::new(), 0);
            }
        }
        Ok(())
    }

    /// Sends some of what is on its way.
    fn send(&mut self) -> io::Result<usize> {
        if let Some((_, queue)) = &mut self.stored {
            return queue.send(&self.stream);
        }
        let length = self.stream.write(&self.sending[self.sent..])?;
        self.sent += length;
        Ok(length)
    }

    /// Takes up the next bytes of the output, or a note about those that are
    /// not in it any more; `false` when there are none.
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

    /// Takes up what stands in place of so many bytes of the stream: for one who
    /// speaks frames, that frame.
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

    /// There is no memory for what is on its way: better no viewer than one
    /// with a gap.
    fn fail_queue(&mut self, why: &io::Error) {
        tracing::warn!("a viewer is disconnected: {why}");
        (self.input, self.output) = (Readiness::Closed, Readiness::Closed);
    }

    /// Says, as far as it takes it now, why there will be no more.
    pub(crate) fn close(mut self, output: &OutputBuffer, why: &str) {
        // Whoever is slow has been told nothing he could have read.
        let _rest = self.feed(output, usize::MAX);
        self.cut_off(why);
    }

    /// The same without what it has not been sent yet.
    pub(crate) fn cut_off(mut self, why: &str) {
        self.visitor.tell_end(why);
        let last_words = match self.encoding {
            _ if self.is_sending() => return,
            Encoding::Framed => frame::ended(why),
            Encoding::Plain if why == IDLE => b"\r\n[nothing was typed for too long]\r\n".to_vec(),
            Encoding::Plain => return,
        };
        let _told = self.stream.write(&last_words);
    }
}
