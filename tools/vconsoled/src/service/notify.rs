// SPDX-License-Identifier: MIT
//! What a service manager is told (`sd_notify`): that consoles are served,
//! that logs are being opened again, that the end has come, and, by the event
//! loop itself, that it still turns. Without a service manager nobody is told.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The event loop's sign of life.
pub(crate) struct Watchdog {
    /// How often it wants to hear of the loop.
    every: Option<Duration>,
    next: Instant,
}

impl Watchdog {
    /// By what the environment says.
    pub(crate) fn new() -> Self {
        Self {
            // Late is as bad as never: two more chances in each period.
            every: sd_notify::watchdog_enabled().map(|period| period / 3),
            next: Instant::now(),
        }
    }

    /// The loop has come round.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(every) = self.every
            && now >= self.next
        {
            tell(&[NotifyState::Watchdog]);
            self.next = now + every;
        }
    }

    /// When the loop must come round again at the latest.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.every.map(|_| self.next)
    }
}

/// Consoles are served, again or for the first time.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Consoles are served, but not all as before.
pub(crate) fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    tell(
        &[NotifyState::Reloading]
            .into_iter()
            .chain(now)
            .collect::<Vec<_>>(),
    );
}

/// Consoles are let go of.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
