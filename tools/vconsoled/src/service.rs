// SPDX-License-Identifier: MIT
//! What a service manager is told (`sd_notify`): that consoles are served,
//! that logs are being opened again, that the end has come, and, by the event
//! loop itself, that it still turns. Without a service manager nobody is told.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
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
    pub(crate) fn turn(&mut self, now: Instant) {
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

/// Descriptors that the service manager keeps for the next daemon, by name.
#[derive(Default)]
pub(crate) struct Store {
    /// Those that the last daemon left and nobody has taken yet.
    left: BTreeMap<String, OwnedFd>,
}

impl Store {
    /// What the last daemon left.
    pub(crate) fn inherited() -> Self {
        let left = xen_io::inherited::take().unwrap_or_else(|error| {
            tracing::warn!("what the last daemon left cannot be taken up: {error}");
            Vec::new()
        });
        Self {
            left: left.into_iter().collect(),
        }
    }

    /// What the last daemon left under that name. It stays with the service
    /// manager as well.
    pub(crate) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.left.remove(name)
    }

    /// Leaves a descriptor for the next daemon.
    pub(crate) fn keep(name: &str, fd: &impl AsFd) {
        // A terminal that nobody has open looks like one that hung up.
        let state = [
            NotifyState::FdStore,
            NotifyState::FdName(name),
            NotifyState::Custom("FDPOLL=0"),
        ];
        if let Err(error) = sd_notify::notify_with_fds(&state, &[fd.as_fd()]) {
            tracing::warn!("the service manager does not keep {name}: {error}");
        }
    }

    /// The next daemon has no use for it.
    pub(crate) fn forget(name: &str) {
        tell(&[NotifyState::FdStoreRemove, NotifyState::FdName(name)]);
    }

    /// Nor for any that was not taken.
    pub(crate) fn forget_rest(&mut self) {
        for name in std::mem::take(&mut self.left).into_keys() {
            Self::forget(&name);
        }
    }
}

fn tell(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
