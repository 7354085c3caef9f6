// SPDX-License-Identifier: MIT
//! One console: a ring on one side, a pty and a log on the other.
//!
//! Output goes to the log and to the backlog, and from there to the pty while
//! somebody has it open; the guest never waits for a viewer. Input stays in
//! the pty until the ring has room for it, so none is lost.

use std::io;
use std::time::{Duration, Instant};

use vpl011::ring::layout::{IN_SIZE, OUT_SIZE};
use vpl011::ring::peer::RingPeer;
use xen_io::{DomId, EventChannels, Page, Port};

use crate::backlog::Backlog;
use crate::log::Log;
use crate::pty::Pty;
use crate::source::{Kind, Slot, Source};

/// Bytes a console may move each way before the others have their turn.
const BUDGET: usize = 16 * 1024;
/// Output kept for the next viewer, and at least for the present one.
pub(crate) const SCROLLBACK: usize = 64 * 1024;
/// Most output kept for a slow viewer, whatever the toolstack says.
const LIMIT_MAX: usize = 1024 * 1024;
/// Notifications in a row that may come with nothing to do, and how long the
/// port then stays masked: a guest cannot keep the daemon busy with nothing.
const EMPTY_EVENTS: u32 = 32;
const HOLD: Duration = Duration::from_millis(10);

/// What happens to output that nobody takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest is dropped.
    #[default]
    Discard,
    /// It stays in the ring, and the guest waits.
    Keep,
}

/// What a console wants after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing until something happens.
    Wait,
    /// Another turn.
    Again,
    /// A turn at that time.
    At(Instant),
}

/// What a console has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) from_guest: u64,
    pub(crate) to_guest: u64,
    pub(crate) doorbells_in: u64,
    pub(crate) doorbells_out: u64,
    /// Of rings that were replaced.
    pub(crate) resyncs: u64,
}

/// A connected ring.
pub(crate) struct Link {
    pub(crate) source: Source,
    pub(crate) ring: RingPeer<Page>,
    pub(crate) port: Port,
}

/// A console that is served.
pub(crate) struct Console {
    pub(crate) domid: DomId,
    pub(crate) slot: Slot,
    /// The domain's name.
    pub(crate) name: String,
    link: Link,
    pty: Pty,
    log: Option<Log>,
    overflow: Overflow,
    backlog: Backlog,
    viewers: usize,
    /// The pty may have input; it may have room for output.
    readable: bool,
    writable: bool,
    /// The port was reported and not unmasked yet.
    masked: bool,
    empty_events: u32,
    held_until: Option<Instant>,
    pub(crate) counters: Counters,
}

impl Console {
    pub(crate) fn new(
        (domid, slot): (DomId, Slot),
        name: String,
        link: Link,
        pty: Pty,
        log: Option<Log>,
        overflow: Overflow,
    ) -> Self {
        Self {
            domid,
            slot,
            name,
            link,
            pty,
            log,
            overflow,
            backlog: Backlog::default(),
            viewers: 0,
            readable: true,
            writable: true,
            masked: false,
            empty_events: 0,
            held_until: None,
            counters: Counters::default(),
        }
    }

    /// Takes up the ring where the last backend left it, and tells the far
    /// end, which may be waiting since then.
    pub(crate) fn start(&mut self, events: &mut dyn EventChannels) -> io::Result<()> {
        // A stock hypervisor and a guest know nothing of the event index.
        if self.has_event_index() {
            self.link.ring.enable_event_index();
        }
        self.notify(events)
    }

    /// Goes on with another ring, as after a guest's kexec.
    pub(crate) fn relink(&mut self, link: Link) -> Link {
        self.counters.resyncs += self.link.ring.resyncs();
        self.masked = false;
        self.held_until = None;
        std::mem::replace(&mut self.link, link)
    }

    pub(crate) fn source(&self) -> &Source {
        &self.link.source
    }

    pub(crate) fn port(&self) -> Port {
        self.link.port
    }

    pub(crate) fn pty(&self) -> &Pty {
        &self.pty
    }

    pub(crate) fn log(&mut self) -> Option<&mut Log> {
        self.log.as_mut()
    }

    pub(crate) fn viewers(&self) -> usize {
        self.viewers
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.backlog.dropped()
    }

    pub(crate) fn resyncs(&self) -> u64 {
        self.counters.resyncs + self.link.ring.resyncs()
    }

    /// The port was notified.
    pub(crate) fn on_event(&mut self) {
        self.masked = true;
        self.empty_events = self.empty_events.saturating_add(1);
        self.counters.doorbells_in += 1;
    }

    /// The pty has become ready.
    pub(crate) fn on_pty(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// The number of viewers has changed.
    pub(crate) fn set_viewers(&mut self, viewers: usize) {
        self.viewers = viewers;
        self.backlog.trim(self.capacity());
    }

    /// Moves what there is to move, within bounds.
    pub(crate) fn turn(
        &mut self,
        events: &mut dyn EventChannels,
        now: Instant,
    ) -> io::Result<Next> {
        self.flush();
        let drained = self.take_output(events)?;
        self.flush();
        let more_input = self.give_input(events)?;
        if !drained {
            // Kept for a viewer: the pty says when there is room again.
            let waits = self.room() == 0;
            return Ok(if waits && !more_input {
                Next::Wait
            } else {
                Next::Again
            });
        }
        if self.has_event_index() && self.link.ring.arm_out() {
            return Ok(Next::Again);
        }
        if self.masked {
            if self.empty_events >= EMPTY_EVENTS {
                let until = *self.held_until.get_or_insert(now + HOLD);
                if now < until {
                    return Ok(Next::At(until));
                }
            }
            self.held_until = None;
            self.empty_events = self.empty_events.min(EMPTY_EVENTS - 1);
            self.masked = false;
            events.unmask(self.link.port)?;
        }
        Ok(if more_input { Next::Again } else { Next::Wait })
    }

    /// Takes output from the ring; `true` when none was left.
    fn take_output(&mut self, events: &mut dyn EventChannels) -> io::Result<bool> {
        let mut buffer = [0; OUT_SIZE];
        let mut budget = BUDGET;
        loop {
            let want = buffer.len().min(budget).min(self.room());
            if want == 0 {
                return Ok(false);
            }
            let capacity = self.capacity();
            let (log, backlog) = (&mut self.log, &mut self.backlog);
            // Logged before the ring lets go of them: what a crash cuts off
            // is taken again by the next daemon.
            let taken = self.link.ring.keep_out(&mut buffer[..want], |bytes| {
                if let Some(log) = log {
                    log.write(bytes);
                }
                backlog.push(bytes, capacity);
            });
            let bytes = &buffer[..taken.bytes];
            if !bytes.is_empty() {
                self.empty_events = 0;
            }
            self.counters.from_guest += bytes.len() as u64;
            budget -= bytes.len();
            if taken.notify {
                self.notify(events)?;
            }
            if taken.bytes < want {
                return Ok(true);
            }
        }
    }

    /// Gives input to the ring; `true` when there may be more for which there
    /// is room.
    fn give_input(&mut self, events: &mut dyn EventChannels) -> io::Result<bool> {
        let mut buffer = [0; IN_SIZE];
        let mut budget = BUDGET;
        while self.readable {
            if budget == 0 {
                return Ok(true);
            }
            let space = match self.link.ring.in_space() {
                0 => self.wait_for_space(events)?,
                space => space,
            };
            if space == 0 {
                return Ok(false);
            }
            let want = space.min(budget);
            let Some(length) = self.pty.read(&mut buffer[..want])? else {
                self.readable = false;
                return Ok(false);
            };
            let put = self.link.ring.put_in(&buffer[..length]);
            // Room does not shrink unless the far end cheats on itself.
            self.counters.to_guest += put.bytes as u64;
            self.empty_events = 0;
            budget -= length;
            if put.notify {
                self.notify(events)?;
            }
        }
        Ok(false)
    }

    /// Asks to be told of room for input, and looks again: the far end may
    /// have made some meanwhile, or its indices may have been nonsense.
    fn wait_for_space(&mut self, events: &mut dyn EventChannels) -> io::Result<usize> {
        if self.link.ring.put_in(&[]).notify {
            self.notify(events)?;
        }
        if self.has_event_index() {
            let _room_already = self.link.ring.arm_in(IN_SIZE / 2);
        }
        Ok(self.link.ring.in_space())
    }

    /// Gives waiting output to viewers, if there are any.
    fn flush(&mut self) {
        while self.viewers > 0 && self.writable {
            let front = self.backlog.front();
            if front.is_empty() {
                return;
            }
            // A pty whose slave we hold does not fail; if it did, waiting for
            // it to become writable would be all there is to do.
            match self.pty.write(front) {
                Ok(Some(length)) => self.backlog.advance(length),
                Ok(None) | Err(_) => self.writable = false,
            }
        }
    }

    fn notify(&mut self, events: &mut dyn EventChannels) -> io::Result<()> {
        self.counters.doorbells_out += 1;
        events.notify(self.link.port)
    }

    /// How much output may wait.
    fn capacity(&self) -> usize {
        if self.viewers == 0 {
            return SCROLLBACK;
        }
        self.link
            .source
            .limit
            .unwrap_or(LIMIT_MAX)
            .clamp(SCROLLBACK, LIMIT_MAX)
    }

    /// How much output may be taken now.
    fn room(&self) -> usize {
        match self.overflow {
            Overflow::Discard => usize::MAX,
            Overflow::Keep => self.capacity().saturating_sub(self.backlog.len()),
        }
    }

    fn has_event_index(&self) -> bool {
        self.link.source.kind() == Kind::VuartPrivate
    }
}
