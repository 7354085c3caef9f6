// SPDX-License-Identifier: MIT
//! Polling of a console whose guest fills the ring repeatedly. During such a
//! burst most of the console's cost is waking up for each piece and passing it on
//! at once. So its ring is polled by the clock instead, and output is passed on
//! in larger portions. The first pieces after a pause are never held back.

use std::time::{Duration, Instant};

use vpl011::ring::layout::OUT_SIZE;

use crate::sink::pty;

/// Size of a read that counts as a piece of a burst.
const MUCH: usize = OUT_SIZE / 4;
/// Number of such pieces in a row that make a burst.
const BEGINNING: u32 = 3;
/// Polling interval: less than Linux needs to fill a ring with a UART's
/// characters. A faster UART waits for the next poll, and a PV console rings.
const LOOK: Duration = Duration::from_millis(1);
/// How long output is held back from viewers, and how much.
const PORTION: Duration = Duration::from_millis(10);
const PORTION_SIZE: usize = pty::ROOM - OUT_SIZE;
/// A burst that ended may only have paused: its mapping is kept for this long,
/// then dropped. A console that is silent for longer wakes no thread and holds no
/// mapping.
const REST: Duration = Duration::from_millis(250);

/// Detects bursts of a console's output.
#[derive(Debug, Default)]
pub(crate) struct BurstPolling {
    pieces: u32,
    running: Option<Running>,
    /// When the mapping of the last burst is dropped.
    rest: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    /// Bytes since the last poll.
    bytes: usize,
    /// The next poll.
    look: Instant,
    /// Bytes held back, and when that ends.
    held: usize,
    portion: Instant,
}

impl BurstPolling {
    /// Counts bytes found in the ring. Returns whether a burst begins.
    pub(crate) fn found(&mut self, bytes: usize, now: Instant) -> bool {
        let Some(running) = &mut self.running else {
            self.pieces = if bytes >= MUCH { self.pieces + 1 } else { 0 };
            let begins = self.pieces == BEGINNING;
            if begins {
                self.running = Some(Running {
                    bytes: 0,
                    look: now + LOOK,
                    held: 0,
                    portion: now + PORTION,
                });
                self.rest = None;
            }
            return begins;
        };
        running.bytes += bytes;
        running.held += bytes;
        // Other events can cause a slice before the next poll.
        if now >= running.look {
            if running.bytes < MUCH {
                *self = Self::default();
                self.rest = Some(now + REST);
            } else {
                running.bytes = 0;
                running.look = now + LOOK;
            }
        }
        false
    }

    /// Whether a burst is running.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether output is held back for now.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        (self.running.as_ref())
            .is_some_and(|running| now < running.portion && running.held < PORTION_SIZE)
    }

    /// All viewers have the output so far: the next bytes begin a portion.
    pub(crate) fn begin_portion(&mut self, now: Instant) {
        if let Some(running) = &mut self.running {
            running.held = 0;
            running.portion = now + PORTION;
        }
    }

    /// Whether the last burst has been over for long; true once.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        self.rest.take_if(|rest| *rest <= now).is_some()
    }

    /// When to poll again.
    pub(crate) fn next(&self) -> Option<Instant> {
        let look = self.running.as_ref().map(|running| running.look);
        look.or(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A burst in progress.
    fn flow() -> (BurstPolling, Instant) {
        let (mut flow, now) = (BurstPolling::default(), Instant::now());
        for piece in 1..=3 {
            assert!(!flow.holds(now) && flow.next().is_none());
            assert_eq!(flow.found(512, now), piece == 3);
        }
        assert!(flow.is_running());
        (flow, now)
    }

    fn after(now: Instant, millis: u64) -> Instant {
        now + Duration::from_millis(millis)
    }

    #[test]
    fn pieces_in_a_row_make_a_flow_and_others_do_not() {
        let mut flow = BurstPolling::default();
        let now = Instant::now();
        for bytes in [2048, 2048, 511, 2048, 2048, 0] {
            assert!(!flow.found(bytes, now));
            assert_eq!((flow.next(), flow.holds(now)), (None, false), "{bytes}");
        }
    }

    #[test]
    fn output_is_held_for_a_portion_at_a_time() {
        let (mut flow, now) = flow();
        let mut given = Vec::new();
        for millis in 0..50 {
            let at = after(now, millis);
            if !flow.holds(at) {
                given.push(millis);
                // A slow viewer has it only a moment later.
                if millis != 10 {
                    flow.begin_portion(at);
                }
            }
            flow.found(600, at);
        }
        assert_eq!(given, [10, 11, 21, 31, 41]);
    }

    #[test]
    fn a_portion_is_no_more_than_a_pty_takes_at_once() {
        let (mut flow, now) = flow();
        flow.found(6 * 1024 - 1, now);
        assert!(flow.holds(now));
        flow.found(1, now);
        assert!(!flow.holds(now));
        flow.begin_portion(now);
        assert!(flow.holds(now));
    }

    #[test]
    fn a_flow_ends_with_a_poll_that_finds_little() {
        let (mut flow, now) = flow();
        assert_eq!(flow.next(), Some(after(now, 1)));
        flow.found(500, now);
        flow.found(12, after(now, 1));
        assert!(flow.is_running(), "much came since the last look");
        flow.found(0, after(now, 1));
        assert!(flow.is_running(), "it was not time to look");
        flow.found(511, after(now, 2));
        assert!(!flow.holds(after(now, 2)) && !flow.is_running());
    }

    #[test]
    fn a_flow_without_output_for_250_ms_ends_and_causes_no_wakeup() {
        let (mut flow, now) = flow();
        flow.found(0, after(now, 1));
        assert_eq!(flow.next(), Some(after(now, 251)));
        assert!(!flow.is_over(after(now, 250)));
        assert!(flow.is_over(after(now, 251)) && !flow.is_over(after(now, 252)));
        assert_eq!(flow.next(), None);
    }
}
