// SPDX-License-Identifier: MIT
//! Output of a console: from the ring to the buffer, and from there to the pty and
//! to clients. Output that no viewer waits for is dropped.

use std::io;
use std::time::{Duration, Instant};

use vpl011::ring::layout::OUT_SIZE;
use xen_io::EventChannels;
use zerocopy::IntoBytes as _;

use super::Console;
use super::pty_state::PtyRecord;
use crate::buffer::{CAPACITY, Checkpoint};
use crate::config::Overflow;
use crate::ring::BUDGET;
use crate::sink::pty;

/// How long output is kept for the last daemon's viewers to reconnect.
const RETURN: Duration = Duration::from_secs(10);
impl Console {
    /// Takes output from the ring; `true` if none is left.
    pub(super) fn take_output(&mut self, events: &mut dyn EventChannels) -> io::Result<bool> {
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
            // Stored before the ring releases them: after a crash the next daemon
            // takes the missing bytes again.
            let bytes = &buffer[..taken.bytes];
            let checkpoint = Checkpoint {
                ring: self.link.ring_id,
                out_cons: self.link.ring.out_cons_after(bytes.len()),
            };
            let shown = self.show(bytes);
            let shown = shown.as_ref().map(PtyRecord::as_bytes);
            self.output.append_shown(bytes, checkpoint, shown)?;
            for log in self.logs() {
                log.more(self.output.end());
            }
            self.doorbell.was_useful();
            self.counters.from_guest += bytes.len() as u64;
            budget -= bytes.len();
            if self.link.ring.release_out(bytes.len()) {
                self.notify(events)?;
            }
            // Output that arrived meanwhile is taken with the next piece.
            if self.polling.is_running() && self.has_event_index() {
                return Ok(true);
            }
        }
    }

    /// Writes output directly to a pty that has received all before it. Returns
    /// the record to store.
    fn show(&mut self, bytes: &[u8]) -> Option<PtyRecord> {
        let flows = self.polling.is_running();
        if flows || !self.pty.is_open() || !self.writable || !self.shown.is_at_end(&self.output) {
            return None;
        }
        // If this fails, the next attempt fails too and handles the error.
        let length = self.pty.write(bytes).ok()??;
        self.shown.advance(length);
        Some(self.pty_record())
    }

    /// Passes output to viewers unless it is held back; `true` if one could take
    /// more.
    pub(super) fn pass_on(&mut self, now: Instant) -> io::Result<bool> {
        let watched = self.viewers() > 0;
        if watched && self.polling.holds(now) {
            return Ok(false);
        }
        let more = self.flush()?;
        // Output for a pty that was full is not held back.
        let shown = !self.pty.is_open() || self.shown.is_at_end(&self.output);
        if shown && !more {
            self.polling.begin_portion(now);
        }
        Ok(more)
    }

    /// Passes waiting output to viewers, and releases output that none waits for;
    /// `true` if a viewer could take more.
    fn flush(&mut self) -> io::Result<bool> {
        let shows = self.pty.is_open() && self.writable;
        let more = shows && !self.shown.is_at_end(&self.output) && self.show_waiting()?;
        let more = self.clients.feed(&self.output, BUDGET)? || more;
        self.release();
        Ok(more)
    }

    /// Writes waiting output to the pty; `true` if it could take more.
    fn show_waiting(&mut self) -> io::Result<bool> {
        let mut buffer = [0; pty::ROOM];
        let mut budget = BUDGET;
        while self.writable && !self.shown.is_at_end(&self.output) {
            if budget < pty::ROOM {
                return Ok(true);
            }
            let length = self.shown.peek(&self.output, &mut buffer)?;
            // If the pty was closed meanwhile, nothing is written: its next user
            // reads the output.
            let written = self.pty.write(&buffer[..length]).ok().flatten();
            self.writable = written == Some(length);
            if let Some(written) = written {
                self.shown.advance(written);
                if !self.output.show(self.shown.position()) {
                    self.record_pty()?;
                }
                budget -= written;
            }
        }
        Ok(false)
    }

    /// Releases output that no consumer waits for, or that waited too long.
    fn release(&mut self) {
        let end = self.output.end();
        let slowest = if self.awaits_return() {
            Some(0)
        } else {
            self.clients.span().map(|(slowest, _)| slowest)
        };
        let shown = self.pty.is_open().then(|| self.shown.position());
        let waiting = slowest.into_iter().chain(shown).min().unwrap_or(end);
        let mut floor = waiting.max(end.saturating_sub(self.capacity()));
        let behind = end.saturating_sub(floor.max(self.output.start()));
        let kept = behind.saturating_sub(self.output.scrollback_size());
        self.waiting.set(kept);
        for log in self.logs() {
            floor = floor.min(log.position().max(end.saturating_sub(log.allowance())));
        }
        self.output.release(floor);
    }

    /// Whether viewers of the last daemon may still reconnect, at unknown
    /// positions.
    fn awaits_return(&self) -> bool {
        self.taken_up.is_some_and(|at| at.elapsed() < RETURN)
    }

    /// How much output may wait for viewers.
    fn capacity(&self) -> u64 {
        if self.viewers() == 0 && !self.awaits_return() {
            return self.output.scrollback_size();
        }
        let limit = self.link.source.limit.map(|limit| limit as u64);
        limit
            .unwrap_or(CAPACITY)
            .min(self.waiting.most())
            .clamp(self.output.scrollback_size(), CAPACITY)
    }

    /// How much output may be taken now.
    pub(super) fn room(&self) -> usize {
        let room = match self.overflow {
            Overflow::Discard => return usize::MAX,
            Overflow::Keep => {
                // The fastest viewer sets the guest's pace: the bytes were taken.
                let quickest = self.clients.span().map_or(0, |(_, quickest)| quickest);
                let taken = self.shown.position().max(quickest);
                (taken + self.capacity()).saturating_sub(self.output.end())
            }
        };
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Whether to request readiness when the pty has room, if that changed.
    pub(crate) fn asks_for_room(&mut self) -> Option<bool> {
        let asks = self.pty.is_open() && !self.writable && !self.shown.is_at_end(&self.output);
        let before = std::mem::replace(&mut self.asked_for_room, asks);
        (asks != before).then_some(asks)
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shown.lost(&self.output)
    }

    /// Bytes lost because viewers on sockets were too slow.
    pub(crate) fn lost(&self) -> u64 {
        self.clients.lost(&self.output)
    }

    /// Whether the console needs no doorbell, because it is polled.
    pub(super) fn looks_by_itself(&self) -> bool {
        let input = self.readable || self.clients.has_input();
        self.polling.is_running() && self.has_event_index() && !input
    }
}
