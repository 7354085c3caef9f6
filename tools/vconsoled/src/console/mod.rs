// SPDX-License-Identifier: MIT
//! One console: a ring on one side, a pty and a log on the other.
//!
//! Output goes to the history, from which the log, the pty while somebody has
//! it open and everybody on a socket pull what they can take; the guest never
//! waits for a viewer. Input stays in the pty until the ring has room for it, so none is lost.

mod pacing;
#[cfg(test)]
mod tests;
pub(crate) mod xen_log;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use vpl011::ring::layout::{IN_SIZE, OUT_SIZE};
use xen_io::{DomId, EventChannels, Port};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::buffer::{CAPACITY, Cursor, History, Mark, Note};
use crate::config::Overflow;
use crate::console::pacing::Flow;
use crate::guest::nodes::Slot;
use crate::guest::source::{Kind, Source};
use crate::input::journal::{Inbox, Recipient};
use crate::ring::doorbell::Doorbell;
use crate::ring::{BUDGET, Counters, Link, Next};
use crate::sink::clients::set::Audience;
use crate::sink::journal::Lines;
use crate::sink::log::Log;
use crate::sink::pty::{self, Pty};

/// How long output is kept for the viewers of the last daemon to come back.
const RETURN: Duration = Duration::from_secs(10);
/// When to look again whether the log has caught up.
const LOG_PAUSE: Duration = Duration::from_millis(1);

/// What looking for input is reckoned to cost, in bytes.
const LOOK: usize = 64;

/// Whose input was taken last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heard {
    Pty,
    Audience,
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
    journal: Option<Lines>,
    overflow: Overflow,
    history: Arc<History>,
    /// Tells this history from any other.
    pub(crate) stream: String,
    pub(crate) audience: Audience,
    last_heard: Heard,
    /// By what way input comes that must outlive this daemon.
    inbox: Option<Arc<Inbox>>,
    /// When this daemon took it up from another one.
    taken_up: Option<Instant>,
    /// How far the pty got.
    shown: Cursor,
    viewers: usize,
    /// The pty may have input; it may have room for output.
    readable: bool,
    writable: bool,
    asked_for_room: bool,
    doorbell: Doorbell,
    flow: Flow,
    pub(crate) counters: Counters,
}

impl Console {
    pub(crate) fn new(
        (domid, slot): (DomId, Slot),
        name: String,
        link: Link,
        history: History,
        pty: Pty,
        overflow: Overflow,
    ) -> Self {
        let shown = shown(&history);
        let stream = stream(&history);
        let taken_up = (history.end() > 0).then(Instant::now);
        Self {
            domid,
            slot,
            name,
            link,
            pty,
            log: None,
            journal: None,
            overflow,
            history: Arc::new(history),
            shown,
            stream,
            audience: Audience::default(),
            last_heard: Heard::Pty,
            inbox: None,
            taken_up,
            viewers: 0,
            readable: true,
            writable: true,
            asked_for_room: false,
            doorbell: Doorbell::default(),
            flow: Flow::default(),
            counters: Counters::default(),
        }
    }

    /// Takes up the ring where the last daemon left it by its own books.
    /// Returns `false` when the last backend was not this program.
    pub(crate) fn take_up(&mut self) -> bool {
        let mark = self.history.mark();
        let ours = mark.ring != self.link.ring_id || self.link.ring.resume_out(mark.out_cons);
        if !ours {
            let (domid, slot) = (self.domid, self.slot);
            tracing::warn!("domain {domid} {slot}: its ring is not where it was left");
        }
        ours
    }

    /// Has input taken so that it outlives this daemon, and brings to the ring
    /// what the last daemon had taken.
    pub(crate) fn set_inbox(&mut self, inbox: Arc<Inbox>) {
        match inbox.left_for(self.recipient()) {
            Ok(left) if !left.is_empty() => {
                let put = self.link.ring.put_in(&left);
                self.counters.to_guest += put.bytes as u64;
                inbox.done();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("what was typed last is lost: {error}"),
        }
        self.inbox = Some(inbox);
    }

    /// Whose input is taken now.
    fn recipient(&self) -> Recipient {
        Recipient {
            owner: Inbox::owner(self.pty.label()),
            ring: self.link.ring_id,
            in_prod: self.link.ring.in_prod(),
        }
    }

    /// Sets a ring going: tells the far end, which may be waiting.
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
        self.doorbell = Doorbell::default();
        self.end_flow();
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

    pub(crate) fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Has its output logged.
    pub(crate) fn set_log(&mut self, log: Log) {
        self.log = Some(log);
    }

    /// Has its lines sent to the journal.
    pub(crate) fn set_journal(&mut self, lines: Lines) {
        self.journal = Some(lines);
    }

    /// Lines that are missing from the journal.
    pub(crate) fn journal_lost(&self) -> u64 {
        self.journal.as_ref().map_or(0, Lines::lost)
    }

    /// The log, when the console is let go of.
    pub(crate) fn into_log(self) -> Option<Log> {
        self.log
    }

    /// How many have the pty open.
    pub(crate) fn viewers(&self) -> usize {
        self.viewers
    }

    /// Its log file, if it has one.
    pub(crate) fn log_path(&self) -> &Path {
        self.log.as_ref().map_or(Path::new(""), Log::path)
    }

    /// Bytes that are missing from the log.
    pub(crate) fn log_lost(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::lost)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shown.lost(&self.history)
    }

    /// Bytes that viewers on sockets were too slow for.
    pub(crate) fn lost(&self) -> u64 {
        self.audience.lost(&self.history)
    }

    /// Whether another viewer can be let in.
    pub(crate) fn has_room(&mut self) -> bool {
        self.audience.has_room(&self.history)
    }

    /// Bytes in the ring: from the guest, and to it.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let ring = &self.link.ring;
        (ring.out_len(), IN_SIZE.saturating_sub(ring.in_space()))
    }

    pub(crate) fn resyncs(&self) -> u64 {
        self.counters.resyncs + self.link.ring.resyncs()
    }

    /// The port was notified.
    pub(crate) fn on_event(&mut self) {
        self.doorbell.on_event();
        self.counters.doorbells_in += 1;
    }

    /// The pty has become ready.
    pub(crate) fn on_pty(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Whether to be told that the pty has room again, if that is not what was
    /// asked for already.
    pub(crate) fn asks_for_room(&mut self) -> Option<bool> {
        let asks = self.viewers > 0 && !self.writable && !self.shown.is_at_end(&self.history);
        let before = std::mem::replace(&mut self.asked_for_room, asks);
        (asks != before).then_some(asks)
    }

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

    fn note_pty(&self) -> io::Result<()> {
        self.history.note(Note::Pty, self.pty_note().as_bytes())
    }

    fn pty_note(&self) -> PtyNote {
        PtyNote {
            position: self.shown.position(),
            viewers: self.viewers as u64,
        }
    }

    /// Moves what is left, when the console is let go of.
    pub(crate) fn last_turn(&mut self, events: &mut dyn EventChannels) -> io::Result<()> {
        self.end_flow();
        self.turn(events, Instant::now()).map(drop)
    }

    fn end_flow(&mut self) {
        self.flow = Flow::default();
        self.history.close_window();
    }

    /// Moves what there is to move, within bounds.
    pub(crate) fn turn(
        &mut self,
        events: &mut dyn EventChannels,
        now: Instant,
    ) -> io::Result<Next> {
        self.pass_on(now)?;
        let behind = (self.log.as_ref()).is_some_and(|log| log.is_behind(self.history.end(), now));
        let before = self.counters.from_guest;
        let drained = !behind && self.take_output(events)?;
        if !behind && self.overflow == Overflow::Discard {
            let found = self.counters.from_guest - before;
            let found = usize::try_from(found).unwrap_or(usize::MAX);
            if self.flow.found(found, now) {
                self.history.open_window();
            } else if self.flow.is_over(now) {
                self.history.close_window();
            }
        }
        let more_input = self.give_input(events)?;
        let more_output = self.pass_on(now)?;
        let more = more_output || more_input;
        if behind && !more {
            return Ok(Next::At(now + LOG_PAUSE));
        }
        if !drained {
            // Kept for a viewer: the pty says when there is room again.
            let waits = self.room() == 0;
            return Ok(if waits && !more {
                Next::Wait
            } else {
                Next::Again
            });
        }
        // What flows is looked at in time, and the guest rings in vain: its
        // doorbell stays shut, unless there is input that waits for it.
        let mut held = None;
        if !self.looks_by_itself() {
            if self.has_event_index() && self.link.ring.arm_out() {
                return Ok(Next::Again);
            }
            held = self.doorbell.open(self.link.port, events, now)?;
        }
        if more {
            return Ok(Next::Again);
        }
        let next = self.flow.next().into_iter().chain(held).min();
        Ok(next.map_or(Next::Wait, Next::At))
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
            let taken = self.link.ring.peek_out(&mut buffer[..want]);
            if taken.notify {
                self.notify(events)?;
            }
            if taken.bytes == 0 {
                return Ok(true);
            }
            // Kept before the ring lets go of them: what a crash cuts off is
            // taken again by the next daemon.
            let bytes = &buffer[..taken.bytes];
            let mark = Mark {
                ring: self.link.ring_id,
                out_cons: self.link.ring.out_cons_after(bytes.len()),
            };
            let shown = self.show(bytes);
            let shown = shown.as_ref().map(PtyNote::as_bytes);
            self.history.append_shown(bytes, mark, shown)?;
            if let Some(log) = &self.log {
                log.more(self.history.end());
            }
            if let Some(journal) = &mut self.journal {
                journal.take(bytes);
            }
            self.doorbell.was_useful();
            self.counters.from_guest += bytes.len() as u64;
            budget -= bytes.len();
            if self.link.ring.release_out(bytes.len()) {
                self.notify(events)?;
            }
            // What came meanwhile is taken with what comes next.
            if self.flow.is_running() && self.has_event_index() {
                return Ok(true);
            }
        }
    }

    /// Whether the console needs no doorbell, because it is looked at in time.
    fn looks_by_itself(&self) -> bool {
        let input = self.readable || self.audience.has_input();
        self.flow.is_running() && self.has_event_index() && !input
    }

    /// Gives output to a pty that has all there was before, and which need not
    /// wait until it is kept. What is then to be noted.
    fn show(&mut self, bytes: &[u8]) -> Option<PtyNote> {
        let flows = self.flow.is_running();
        if flows || self.viewers == 0 || !self.writable || !self.shown.is_at_end(&self.history) {
            return None;
        }
        // Should this fail, so will the next attempt, which knows what to do.
        let length = self.pty.write(bytes).ok()??;
        self.shown.advance(length);
        Some(self.pty_note())
    }

    /// Gives input to the ring; `true` when there may be more for which there
    /// is room.
    fn give_input(&mut self, events: &mut dyn EventChannels) -> io::Result<bool> {
        if !self.readable && !self.audience.has_input() {
            return Ok(false);
        }
        let mut buffer = [0; IN_SIZE];
        let mut budget = BUDGET;
        while self.readable || self.audience.has_input() {
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
            let length = self.read_input(&mut buffer[..want])?;
            // To look in vain is work too.
            budget = budget.saturating_sub(length.max(LOOK));
            if length == 0 {
                continue;
            }
            let put = self.link.ring.put_in(&buffer[..length]);
            if let Some(inbox) = &self.inbox {
                inbox.done();
            }
            // Room does not shrink unless the far end cheats on itself.
            self.counters.to_guest += put.bytes as u64;
            self.doorbell.was_useful();
            if put.notify {
                self.notify(events)?;
            }
        }
        Ok(false)
    }

    /// What the pty or somebody else has typed, each in turn.
    fn read_input(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.last_heard = match self.last_heard {
            Heard::Audience if self.readable => Heard::Pty,
            Heard::Pty if self.audience.has_input() => Heard::Audience,
            same => same,
        };
        let inbox = self.inbox.as_deref().map(|inbox| (inbox, self.recipient()));
        if self.last_heard == Heard::Audience {
            return Ok(self.audience.read(buffer, inbox).unwrap_or(0));
        }
        let length = self.pty.read(buffer, inbox)?;
        self.readable = length.is_some();
        Ok(length.unwrap_or(0))
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

    /// Gives viewers what is not held back for now; `true` when one could take
    /// more.
    fn pass_on(&mut self, now: Instant) -> io::Result<bool> {
        let watched = self.viewers > 0 || self.audience.len() > 0;
        if watched && self.flow.holds(now) {
            return Ok(false);
        }
        let more = self.flush()?;
        // A pty that was full takes what it can as soon as it can.
        let shown = self.viewers == 0 || self.shown.is_at_end(&self.history);
        if shown && !more {
            self.flow.begin_portion(now);
        }
        Ok(more)
    }

    /// Gives waiting output to viewers, if there are any, and gives up what
    /// nobody waits for; `true` when a viewer could take more.
    fn flush(&mut self) -> io::Result<bool> {
        let shows = self.viewers > 0 && self.writable;
        let more = shows && !self.shown.is_at_end(&self.history) && self.show_waiting()?;
        let more = self.audience.feed(&self.history, BUDGET)? || more;
        self.release();
        Ok(more)
    }

    /// Gives the pty what waits for it; `true` when it could take more.
    fn show_waiting(&mut self) -> io::Result<bool> {
        let mut buffer = [0; pty::ROOM];
        let mut budget = BUDGET;
        while self.writable && !self.shown.is_at_end(&self.history) {
            if budget < pty::ROOM {
                return Ok(true);
            }
            let length = self.shown.peek(&self.history, &mut buffer)?;
            // A pty whose slave we hold does not fail; if it did, waiting for
            // it to become writable would be all there is to do.
            let written = self.pty.write(&buffer[..length]).ok().flatten();
            self.writable = written == Some(length);
            if let Some(written) = written {
                self.shown.advance(written);
                if !self.history.show(self.shown.position()) {
                    self.note_pty()?;
                }
                budget -= written;
            }
        }
        Ok(false)
    }

    /// Tells everybody on a socket that it is over, and why.
    pub(crate) fn take_leave(&mut self, why: &str) {
        self.audience.end(&self.history, why);
        self.audience = Audience::default();
    }

    /// Gives up what nobody waits for any more, or has waited for too long.
    fn release(&self) {
        let end = self.history.end();
        let slowest = if self.awaits_return() {
            Some(0)
        } else {
            self.audience.span().map(|(slowest, _)| slowest)
        };
        let shown = (self.viewers > 0).then(|| self.shown.position());
        let waiting = slowest.into_iter().chain(shown).min().unwrap_or(end);
        let mut floor = waiting.max(end.saturating_sub(self.capacity()));
        if let Some(log) = &self.log {
            floor = floor.min(log.position().max(end.saturating_sub(log.allowance())));
        }
        self.history.release(floor);
    }

    /// Whether viewers of the last daemon may be on their way back, who knows
    /// how many and from where on.
    fn awaits_return(&self) -> bool {
        self.taken_up.is_some_and(|at| at.elapsed() < RETURN)
    }

    fn notify(&mut self, events: &mut dyn EventChannels) -> io::Result<()> {
        self.counters.doorbells_out += 1;
        events.notify(self.link.port)
    }

    /// How much output may wait for viewers.
    fn capacity(&self) -> u64 {
        if self.viewers == 0 && self.audience.len() == 0 && !self.awaits_return() {
            return self.history.scrollback_size();
        }
        let limit = self.link.source.limit.map(|limit| limit as u64);
        limit
            .unwrap_or(CAPACITY)
            .clamp(self.history.scrollback_size(), CAPACITY)
    }

    /// How much output may be taken now.
    fn room(&self) -> usize {
        let room = match self.overflow {
            Overflow::Discard => return usize::MAX,
            Overflow::Keep => {
                // The guest goes on with the quickest: the bytes were taken.
                let quickest = self.audience.span().map_or(0, |(_, quickest)| quickest);
                let taken = self.shown.position().max(quickest);
                (taken + self.capacity()).saturating_sub(self.history.end())
            }
        };
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    fn has_event_index(&self) -> bool {
        self.link.source.kind() == Kind::VuartPrivate
    }
}

/// What the next daemon is told of the pty.
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes, KnownLayout)]
#[repr(C)]
struct PtyNote {
    position: u64,
    viewers: u64,
}

impl PtyNote {
    fn of(history: &History) -> Option<Self> {
        Self::read_from_bytes(&history.noted(Note::Pty)?).ok()
    }
}

/// Where the pty of the last daemon stopped, or everything there is.
fn shown(history: &History) -> Cursor {
    let noted = PtyNote::of(history);
    Cursor::at(noted.map_or(history.scrollback(), |noted| {
        noted.position.max(history.shown()).min(history.end())
    }))
}

/// A history's name, which no other has had: when it began, in nanoseconds,
/// and, as clocks may be set, a count.
fn stream(history: &History) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let noted = history.noted(Note::Stream);
    if let Some(name) = noted.and_then(|name| String::from_utf8(name).ok()) {
        return name;
    }
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let began = began.map_or(0, |began| began.as_nanos());
    let name = format!("{began:x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed));
    if let Err(error) = history.note(Note::Stream, name.as_bytes()) {
        tracing::warn!("viewers will not find their place again: {error}");
    }
    name
}
