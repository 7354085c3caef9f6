// SPDX-License-Identifier: MIT
//! One console: a ring on one side, a pty and a log on the other.
//!
//! Output goes to the output buffer, from which the log, the pty while it is
//! open, and viewers on sockets read at their own pace; the guest never waits for
//! a viewer. Input stays in the pty until the ring has room for it, so none is
//! lost.

pub(crate) mod allowance;
mod input;
mod input_rate;
mod output;
mod pacing;
mod pty_state;
mod sinks;
#[cfg(test)]
mod tests;
pub(crate) mod xen_log;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use vpl011::ring::layout::IN_SIZE;
use xen_io::{DomId, EventChannels, Port};

use crate::buffer::{Cursor, OutputBuffer, Record};
use crate::config::{InputRate, Overflow};
use crate::guest::nodes::{Slot, name_of};
use crate::guest::source::{Kind, Source};
use crate::input::journal::InputJournal;
use crate::ring::doorbell::Doorbell;
use crate::ring::{Counters, Link, Next};
use crate::sink::clients::set::ClientSet;
use crate::sink::log::Log;
use crate::sink::pty::Pty;

use allowance::{Allowance, Waiting};
use input::InputFrom;
use input_rate::InputPacing;
use pacing::BurstPolling;
pub(crate) use sinks::Watching;

/// Pause before checking again whether the log has caught up.
const LOG_PAUSE: Duration = Duration::from_millis(1);

/// A served console.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the pty's state, and a key of the file"
)]
pub(crate) struct Console {
    pub(crate) domid: DomId,
    pub(crate) slot: Slot,
    /// The domain's name.
    pub(crate) name: String,
    link: Link,
    pty: Pty,
    log: Option<Log>,
    recording: Option<Log>,
    /// Whether the recording includes input.
    records_input: bool,
    journal: Option<Log>,
    watch: Option<Watching>,
    overflow: Overflow,
    /// Output kept for slow viewers.
    waiting: Waiting,
    output: Arc<OutputBuffer>,
    /// Identifies this output.
    pub(crate) stream: String,
    pub(crate) clients: ClientSet,
    last_input: InputFrom,
    /// Whether input is discarded when the ring is full.
    lossy: bool,
    input_rate: InputRate,
    /// Set while the rate is a number of bytes.
    input_pacing: Option<InputPacing>,
    /// Journal for input that must outlive this daemon.
    input_journal: Option<Arc<InputJournal>>,
    /// When this daemon took the console over from another one.
    taken_up: Option<Instant>,
    /// The pty's position.
    shown: Cursor,
    /// The pty may have input, or room for output.
    readable: bool,
    writable: bool,
    asked_for_room: bool,
    doorbell: Doorbell,
    polling: BurstPolling,
    pub(crate) counters: Counters,
}

impl Console {
    pub(crate) fn new(
        (domid, slot): (DomId, Slot),
        name: String,
        link: Link,
        output: OutputBuffer,
        pty: Pty,
        overflow: Overflow,
    ) -> Self {
        let shown = pty_state::shown(&output);
        let stream = stream(&output);
        let taken_up = (output.end() > 0).then(Instant::now);
        Self {
            domid,
            slot,
            name,
            link,
            pty,
            log: None,
            recording: None,
            records_input: false,
            journal: None,
            watch: None,
            overflow,
            waiting: Waiting::new(Allowance::default()),
            output: Arc::new(output),
            shown,
            stream,
            clients: ClientSet::default(),
            last_input: InputFrom::Pty,
            lossy: false,
            input_rate: InputRate::Unlimited,
            input_pacing: None,
            input_journal: None,
            taken_up,
            readable: true,
            writable: true,
            asked_for_room: false,
            doorbell: Doorbell::default(),
            polling: BurstPolling::default(),
            counters: Counters::default(),
        }
    }

    /// Resumes the ring at the last daemon's checkpoint, if the last backend was
    /// this program.
    pub(crate) fn take_up(&mut self) {
        let checkpoint = self.output.checkpoint();
        let ours =
            checkpoint.ring != self.link.ring_id || self.link.ring.resume_out(checkpoint.out_cons);
        if !ours {
            let (domid, slot) = (self.domid, self.slot);
            tracing::warn!("domain {domid} {slot}: the last position in its ring is not valid");
        }
    }

    /// Starts serving a ring: notifies the far end, which may be waiting.
    pub(crate) fn start(&mut self, events: &mut dyn EventChannels) -> io::Result<()> {
        // A stock hypervisor and a guest do not support the event index.
        if self.has_event_index() {
            self.link.ring.enable_event_index();
        }
        self.notify(events)
    }

    /// Continues with another ring, as after a guest's kexec.
    pub(crate) fn relink(&mut self, link: Link) -> Link {
        self.counters.resyncs += self.link.ring.resyncs();
        self.doorbell = Doorbell::default();
        self.end_polling();
        std::mem::replace(&mut self.link, link)
    }

    /// Its name, such as `3/vuart0`, and its domain's.
    pub(crate) fn names(&self) -> (String, String) {
        (name_of((self.domid, self.slot)), self.name.clone())
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

    pub(crate) fn pty_mut(&mut self) -> &mut Pty {
        &mut self.pty
    }

    pub(crate) fn output(&self) -> &Arc<OutputBuffer> {
        &self.output
    }

    /// Shares the limit of waiting output with other consoles.
    pub(crate) fn set_allowance(&mut self, allowance: &Allowance) {
        self.waiting = Waiting::new(allowance.clone());
    }

    /// Sets what happens to unread output.
    pub(crate) fn set_overflow(&mut self, overflow: Overflow) {
        self.overflow = overflow;
        if overflow == Overflow::Keep {
            self.end_polling();
        }
    }

    /// Whether the pty is open.
    pub(crate) fn is_pty_open(&self) -> bool {
        self.pty.is_open()
    }

    /// Number of viewers on sockets, plus one while the pty is open.
    pub(crate) fn viewers(&self) -> usize {
        usize::from(self.pty.is_open()) + self.clients.len()
    }

    /// Whether there is room for a viewer and `spare` more.
    pub(crate) fn has_room(&mut self, spare: usize) -> bool {
        self.clients.has_room(spare, &self.output)
    }

    /// Disconnects a viewer at once.
    pub(crate) fn cut_off(&mut self, session: usize, why: &str) {
        self.clients.cut_off(session, &self.output, why);
    }

    /// Bytes in the ring: from the guest, and to it.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let ring = &self.link.ring;
        (ring.out_len(), IN_SIZE.saturating_sub(ring.in_space()))
    }

    pub(crate) fn resyncs(&self) -> u64 {
        self.counters.resyncs + self.link.ring.resyncs()
    }

    /// Handles a notification of the port.
    pub(crate) fn on_event(&mut self) {
        self.doorbell.on_event();
        self.counters.doorbells_in += 1;
    }

    /// Handles readiness of the pty.
    pub(crate) fn on_pty(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Moves the rest when the console is closed.
    pub(crate) fn last_slice(&mut self, events: &mut dyn EventChannels) -> io::Result<()> {
        self.end_polling();
        self.run_slice(events, Instant::now()).map(drop)
    }

    fn end_polling(&mut self) {
        self.polling = BurstPolling::default();
        self.output.unmap();
    }

    /// Moves available bytes, within a budget.
    pub(crate) fn run_slice(
        &mut self,
        events: &mut dyn EventChannels,
        now: Instant,
    ) -> io::Result<Next> {
        self.pass_on(now)?;
        let mut files = self.log.iter().chain(&self.recording);
        let behind = files.any(|log| log.is_behind(self.output.end(), now));
        let before = self.counters.from_guest;
        let drained = !behind && self.take_output(events)?;
        if !behind && self.overflow == Overflow::Discard {
            let found = self.counters.from_guest - before;
            let found = usize::try_from(found).unwrap_or(usize::MAX);
            if self.polling.found(found, now) {
                self.output.map();
            } else if self.polling.is_over(now) {
                self.output.unmap();
            }
        }
        let input = self.give_input(events, now)?;
        let more_output = self.pass_on(now)?;
        let more = more_output || input == Next::Again;
        if behind && !more {
            return Ok(Next::At(now + LOG_PAUSE));
        }
        if !drained {
            // Kept for a viewer: the pty becomes ready when there is room again.
            let waits = self.room() == 0;
            return Ok(if waits && !more { input } else { Next::Again });
        }
        // A burst is polled, so the guest's doorbells would be useless: the
        // doorbell stays masked, unless input waits for it.
        let mut held = None;
        if !self.looks_by_itself() {
            if self.has_event_index() && self.link.ring.arm_out(1) {
                return Ok(Next::Again);
            }
            held = self.doorbell.open(self.link.port, events, now)?;
        }
        if more {
            return Ok(Next::Again);
        }
        let next = self.polling.next().into_iter().chain(held);
        let next = next.chain(input.at()).min();
        Ok(next.map_or(Next::Wait, Next::At))
    }

    /// Closes all client sessions, with the reason.
    pub(crate) fn close_clients(&mut self, why: &str) {
        self.clients.close(&self.output, why);
        self.clients = ClientSet::default();
    }

    fn notify(&mut self, events: &mut dyn EventChannels) -> io::Result<()> {
        self.counters.doorbells_out += 1;
        events.notify(self.link.port)
    }

    fn has_event_index(&self) -> bool {
        self.link.source.kind() == Kind::VuartPrivate
    }
}

/// A unique name of an output: its start in nanoseconds, and a count, because
/// clocks may be set back.
fn stream(output: &OutputBuffer) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let noted = output.record(Record::Stream);
    if let Some(name) = noted.and_then(|name| String::from_utf8(name).ok()) {
        return name;
    }
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let began = began.map_or(0, |began| began.as_nanos());
    let name = format!("{began:x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed));
    if let Err(error) = output.write_record(Record::Stream, name.as_bytes()) {
        tracing::warn!("viewers cannot resume: {error}");
    }
    name
}
