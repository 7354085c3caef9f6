// SPDX-License-Identifier: MIT
//! Sends one console's lines to the journal, all of them or those that match
//! rules, and records for the next daemon which of them were sent.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::step::{Buffers, Closing, Step};
use crate::buffer::{Cursor, OutputBuffer, Record};
use crate::sink::journal::{Journal, Lines, Rate, Sent};
use crate::sink::watch::Watch;

/// Bytes of output per step, and most lines sent.
const PIECE: usize = 4096;
const SENT: usize = 256;
/// After a pause of this length rules are applied to an incomplete line, such as
/// a prompt.
const REST: Duration = Duration::from_millis(200);

/// Where the lines of an output buffer continue, if that was recorded.
pub(super) fn noted_position(output: &OutputBuffer, record: Record) -> Option<u64> {
    let noted = output.record(record)?.try_into().ok()?;
    Some(u64::from_le_bytes(noted).min(output.end()))
}

/// The feed of one console.
pub(super) struct JournalFeed {
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    lines: Lines,
    cursor: Cursor,
    /// When the output came that was not matched yet.
    came: Option<Instant>,
    /// Numbers of lines, and the position in the output up to which these have it.
    marks: VecDeque<(u64, u64)>,
    /// The position up to which all lines were sent.
    sent: u64,
    record: Record,
    /// The recorded position; none before the first step.
    noted: Option<u64>,
    pub(super) closing: Closing,
    finished: bool,
}

impl JournalFeed {
    pub(super) fn new(
        shared: Arc<Shared>,
        journal: Arc<Journal>,
        lines: Lines,
        record: Record,
    ) -> Self {
        let position = shared.position.load(Ordering::Acquire);
        Self {
            shared,
            journal,
            lines,
            cursor: Cursor::at(position),
            came: None,
            marks: VecDeque::new(),
            sent: position,
            record,
            noted: None,
            closing: Closing::No,
            finished: false,
        }
    }

    /// Changes the rate.
    pub(super) fn limit(&mut self, rate: Rate) {
        self.lines.limit(rate);
    }

    /// Changes the rules.
    pub(super) fn watch(&mut self, watch: Watch) {
        self.lines.watch(watch);
    }

    /// Changes the domain's name.
    pub(super) fn rename(&mut self, domain: &str) {
        self.lines.rename(domain);
    }

    /// Whether nothing was sent yet.
    pub(super) fn is_new(&self) -> bool {
        self.noted.is_none()
    }

    /// Whether both have one record of one output.
    pub(super) fn has_record_of(&self, other: &Self) -> bool {
        self.record == other.record && self.shared.has_output_of(&other.shared)
    }

    /// Sends some lines.
    pub(super) fn step(&mut self, buffers: &mut Buffers, now: Instant) -> io::Result<Step> {
        let Some(output) = self.shared.output().clone() else {
            return Ok(Step::Nothing);
        };
        if self.is_new()
            && let Some(noted) = noted_position(&output, self.record)
        {
            // The console's earlier feed may have ended after this one was created.
            self.cursor = Cursor::at(noted);
            self.sent = noted;
        }
        self.shared.urgent.store(false, Ordering::Relaxed);
        if let Some(step) = self.send(&output, now) {
            return Ok(step);
        }
        if self.cursor.position() == output.end() {
            // Output after this is signalled again.
            self.shared.pending.swap(false, Ordering::AcqRel);
        }
        let raw = &mut buffers.raw[..PIECE];
        let length = self.cursor.peek(&output, raw)?;
        if length > 0 {
            self.take(&raw[..length], now);
            let step = self.send(&output, now).unwrap_or(Step::Wrote);
            let last = self.cursor.is_at_end(&output);
            let waits = matches!(step, Step::Later(_));
            return Ok(if last || waits { step } else { Step::Partly });
        }
        if self.closing == Closing::ForGood && !self.finished {
            self.finished = true;
            self.lines.finish();
            return Ok(Step::Partly);
        }
        if self.closing != Closing::No {
            return Ok(Step::Nothing);
        }
        let look = self.came.map(|came| came + REST);
        if look.is_some_and(|at| at <= now) {
            self.came = None;
            if self.lines.look() {
                // The next daemon must not match it again.
                self.mark(self.cursor.position());
            }
            return Ok(Step::Partly);
        }
        let next = look.into_iter().chain(self.lines.report()).min();
        Ok(next.map_or(Step::Nothing, Step::Again))
    }

    /// Sends lines, and records the position.
    fn send(&mut self, output: &OutputBuffer, now: Instant) -> Option<Step> {
        let sent = self.lines.send(&self.journal, SENT, now);
        self.shared.lost.store(self.lines.lost(), Ordering::Relaxed);
        self.note(output);
        match sent {
            Sent::All => None,
            Sent::Some => Some(Step::Partly),
            Sent::Full(again) => Some(Step::Later(again)),
        }
    }

    fn take(&mut self, bytes: &[u8], now: Instant) {
        let in_output = self.cursor.is_in_output();
        self.came = self.lines.is_watched().then_some(now);
        let mut at = self.cursor.position();
        if !in_output {
            self.lines.miss(now);
            self.mark(at);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let long = self.lines.take(piece);
            at += piece.len() as u64;
            if in_output && (long || piece.ends_with(b"\n")) {
                self.mark(at);
            }
        }
        self.cursor.advance(bytes.len());
    }

    /// The lines so far have the output up to there.
    fn mark(&mut self, position: u64) {
        self.marks.push_back((self.lines.taken(), position));
    }

    /// Records the position for the next daemon.
    fn note(&mut self, output: &OutputBuffer) {
        let position = self.cursor.position();
        self.shared.position.store(position, Ordering::Release);
        let done = self.lines.taken() - self.lines.waiting();
        while let Some((lines, position)) = self.marks.front()
            && *lines <= done
        {
            self.sent = *position;
            self.marks.pop_front();
        }
        if self.noted != Some(self.sent) {
            self.noted = Some(self.sent);
            // Without it some lines are sent again, or waiting ones are not.
            let _noted = output.write_record(self.record, &self.sent.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;
    use crate::buffer::CAPACITY;

    /// Lines lost to a journal that accepts nothing for long are counted.
    #[test]
    fn output_that_was_overwritten_before_it_was_sent_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let _journald = UnixDatagram::bind(&path).unwrap();
        let output = OutputBuffer::in_memory(1 << 16).unwrap();
        for _ in 0..=CAPACITY / 4096 {
            output.append(&[b'x'; 4096], output.checkpoint()).unwrap();
        }
        let shared = Arc::new(Shared {
            id: 1,
            path: PathBuf::from("the journal"),
            position: 0.into(),
            output: Mutex::new(Some(Arc::new(output))),
            pending: true.into(),
            urgent: false.into(),
            lost: 0.into(),
            failed: false.into(),
            typed: Mutex::default(),
        });
        let unlimited = Rate { lines: 0, burst: 0 };
        let lines = Lines::new(1, "web", "pv0", unlimited);
        let journal = Journal::at(&path).unwrap();
        let mut feed = JournalFeed::new(Arc::clone(&shared), journal, lines, Record::Journal);
        let mut buffers = Buffers {
            raw: vec![0; PIECE],
            text: Vec::new(),
        };
        feed.step(&mut buffers, Instant::now()).unwrap();
        assert_eq!(shared.lost.load(Ordering::Relaxed), 1);
    }
}
