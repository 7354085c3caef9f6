// SPDX-License-Identifier: MIT
//! Input of a console: from the pty and from clients, alternately, to the ring,
//! as far as it has room, and no faster than the console's rate. Input waits for
//! room, except at a lossy console.
//!
//! With a rate, the ring counts as no larger than a burst: after a pause a guest
//! must not get all waiting input at once.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use vpl011::ring::layout::IN_SIZE;
use xen_io::EventChannels;

use super::Console;
use super::input_rate::InputPacing;
use crate::config::InputRate;
use crate::input::journal::{InputJournal, Recipient};
use crate::ring::{BUDGET, Next};

/// The budget that an attempt to read costs, in bytes.
const LOOK: usize = 64;

/// Source of the last input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InputFrom {
    Pty,
    ClientSet,
}

impl Console {
    /// Uses a journal so that input outlives this daemon.
    pub(crate) fn set_input_journal(&mut self, input_journal: Arc<InputJournal>) {
        self.input_journal = Some(input_journal);
    }

    /// Puts input that the last daemon had taken into the ring; returns whether
    /// it was for this console.
    pub(crate) fn take_up_input(&mut self, left: &InputJournal) -> io::Result<bool> {
        let Some(bytes) = left.left_for(self.recipient())? else {
            return Ok(false);
        };
        let put = self.link.ring.put_in(&bytes);
        self.counters.to_guest += put.bytes as u64;
        left.done();
        Ok(true)
    }

    /// Sets whether input is discarded when the ring is full.
    pub(crate) fn set_lossy(&mut self, lossy: bool) {
        self.lossy = lossy;
    }

    /// Sets the limit of the input rate.
    pub(crate) fn set_input_rate(&mut self, rate: InputRate, now: Instant) {
        self.input_rate = rate;
        self.pace_input(now);
    }

    /// The input rate in force in bytes per second; 0 without a limit.
    pub(crate) fn input_rate(&self) -> u32 {
        self.rate_in_force().map_or(0, NonZeroU32::get)
    }

    fn rate_in_force(&self) -> Option<NonZeroU32> {
        match self.input_rate {
            InputRate::Unlimited => None,
            InputRate::Auto => self.link.line_rate(),
            InputRate::Bytes(rate) => Some(rate),
        }
    }

    /// Applies the rate in force now.
    fn pace_input(&mut self, now: Instant) {
        match (self.rate_in_force(), &mut self.input_pacing) {
            (None, pacing) => *pacing = None,
            (Some(rate), Some(pacing)) => pacing.set_rate(rate, now),
            (Some(rate), pacing) => *pacing = Some(InputPacing::new(rate, now)),
        }
    }

    /// The recipient of input now.
    pub(super) fn recipient(&self) -> Recipient {
        Recipient {
            owner: InputJournal::owner(self.pty.label()),
            ring: self.link.ring_id,
            in_prod: self.link.ring.in_prod(),
        }
    }

    /// Moves input to the ring, and returns when to continue if there is room.
    pub(super) fn give_input(
        &mut self,
        events: &mut dyn EventChannels,
        now: Instant,
    ) -> io::Result<Next> {
        if !self.readable && !self.clients.has_input() {
            return Ok(Next::Wait);
        }
        if self.input_rate == InputRate::Auto {
            self.pace_input(now);
        }
        let mut buffer = [0; IN_SIZE];
        let mut budget = BUDGET;
        while self.readable || self.clients.has_input() {
            if budget == 0 {
                return Ok(Next::Again);
            }
            let space = match self.input_space() {
                0 => self.wait_for_space(events)?,
                space => space,
            };
            if space == 0 {
                if !self.lossy {
                    return Ok(Next::Wait);
                }
                let length = self.read_input(&mut buffer)?;
                budget = budget.saturating_sub(length.max(LOOK));
                self.counters.input_lost += length as u64;
                if let Some(input_journal) = &self.input_journal {
                    input_journal.done();
                }
                continue;
            }
            let mut want = space.min(budget);
            if let Some(pacing) = &mut self.input_pacing {
                want = want.min(pacing.allowed(now));
                if want == 0 {
                    return Ok(Next::At(pacing.next()));
                }
            }
            let length = self.read_input(&mut buffer[..want])?;
            // A read without input costs budget too.
            budget = budget.saturating_sub(length.max(LOOK));
            if length == 0 {
                continue;
            }
            let put = self.link.ring.put_in(&buffer[..length]);
            if let Some(pacing) = &mut self.input_pacing {
                pacing.spend(length);
            }
            if let Some(input_journal) = &self.input_journal {
                input_journal.done();
            }
            // Room shrinks only if the far end writes invalid indices.
            self.counters.to_guest += put.bytes as u64;
            if let Some(recording) = self.recording.as_ref().filter(|_| self.records_input) {
                recording.typed(&buffer[..put.bytes]);
            }
            self.doorbell.was_useful();
            if put.notify {
                self.notify(events)?;
            }
        }
        Ok(Next::Wait)
    }

    /// Reads from the pty and the clients alternately.
    fn read_input(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.last_input = match self.last_input {
            InputFrom::ClientSet if self.readable => InputFrom::Pty,
            InputFrom::Pty if self.clients.has_input() => InputFrom::ClientSet,
            same => same,
        };
        let input_journal = self
            .input_journal
            .as_deref()
            .map(|input_journal| (input_journal, self.recipient()));
        if self.last_input == InputFrom::ClientSet {
            return Ok(self.clients.read(buffer, input_journal).unwrap_or(0));
        }
        let length = self.pty.read(buffer, input_journal)?;
        self.readable = length.is_some();
        Ok(length.unwrap_or(0))
    }

    /// Requests a notification of room for input, and looks again: the far end
    /// may have made room meanwhile, or its indices may have been invalid.
    fn wait_for_space(&mut self, events: &mut dyn EventChannels) -> io::Result<usize> {
        if self.link.ring.put_in(&[]).notify {
            self.notify(events)?;
        }
        if self.has_event_index() {
            let room = IN_SIZE - self.ring_size() / 2;
            let _room_already = self.link.ring.arm_in(room);
        }
        Ok(self.input_space())
    }

    /// Room for input.
    fn input_space(&self) -> usize {
        let space = self.link.ring.in_space();
        space.saturating_sub(IN_SIZE - self.ring_size())
    }

    /// How much input the ring may hold.
    fn ring_size(&self) -> usize {
        let pacing = self.input_pacing.as_ref();
        pacing.map_or(IN_SIZE, InputPacing::burst).min(IN_SIZE)
    }
}
