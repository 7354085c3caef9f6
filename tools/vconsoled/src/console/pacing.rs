// SPDX-License-Identifier: MIT
//! A console whose guest fills the ring again and again. While that lasts, most of
//! the console's cost is waking for each piece and passing it on at once. So its
//! ring is read by the clock instead, and output is passed on in larger portions.
//! The first pieces after a pause are never held.

use std::time::{Duration, Instant};

use vpl011::ring::layout::OUT_SIZE;

use crate::sink::pty;

/// Found at one look, so much is a piece of a flow.
const MUCH: usize = OUT_SIZE / 4;
/// So many such pieces in a row are one.
const BEGINNING: u32 = 3;
/// Between two looks: less than Linux needs to fill a ring with a UART's
/// characters. A UART that is quicker waits for the next look, and a PV console
/// rings.
const LOOK: Duration = Duration::from_millis(1);
/// How long output is held that viewers are to have, and how much of it.
const PORTION: Duration = Duration::from_millis(10);
const PORTION_SIZE: usize = pty::ROOM - OUT_SIZE;
/// A flow that has ended may only have paused: for so long what was set up for
/// it is kept, which is the last that it costs. A console that is silent for
/// longer wakes nobody and holds nothing of the kind.
const REST: Duration = Duration::from_millis(250);

/// Whether a console's output flows.
#[derive(Debug, Default)]
pub(crate) struct BurstPolling {
    pieces: u32,
    running: Option<Running>,
    /// When what was set up for the last one is not worth keeping any more.
    rest: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    /// What came since the last look.
    bytes: usize,
    /// The next look.
    look: Instant,
    /// What is held back, and the end of that.
    held: usize,
    portion: Instant,
}

impl BurstPolling {
    /// So much was found in the ring. Whether a flow begins with it.
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
        // Something else may have called for a slice before.
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

    /// Whether it flows now.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether what came is held back for now.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        (self.running.as_ref())
            .is_some_and(|running| now < running.portion && running.held < PORTION_SIZE)
    }

    /// Everybody has been given what came so far: a portion begins with what
    /// comes next.
    pub(crate) fn begin_portion(&mut self, now: Instant) {
        if let Some(running) = &mut self.running {
            running.held = 0;
            running.portion = now + PORTION;
        }
    }

    /// Whether the last flow has been over for long, which is said once.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        self.rest.take_if(|rest| *rest <= now).is_some()
    }

    /// When to look again without being called.
    pub(crate) fn next(&self) -> Option<Instant> {
        let look = self.running.as_ref().map(|running| running.look);
        look.or(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flow that began at some time.
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
                // Who is slow has it only a moment later.
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
    fn a_flow_ends_with_a_look_that_finds_little() {
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
    fn a_flow_that_has_not_gone_on_for_250_ms_is_over_and_wakes_nobody() {
        let (mut flow, now) = flow();
        flow.found(0, after(now, 1));
        assert_eq!(flow.next(), Some(after(now, 251)));
        assert!(!flow.is_over(after(now, 250)));
        assert!(flow.is_over(after(now, 251)) && !flow.is_over(after(now, 252)));
        assert_eq!(flow.next(), None);
    }
}
