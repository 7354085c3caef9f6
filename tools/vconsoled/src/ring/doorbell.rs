// SPDX-License-Identifier: MIT
//! A reported port stays masked until it is unmasked here. A delay limits the
//! rate: a guest cannot keep the daemon busy with useless notifications.

use std::io;
use std::time::{Duration, Instant};

use xen_io::{EventChannels, Port};

/// Limit of useless notifications in a row, and how long the port then stays
/// masked.
const EMPTY_EVENTS: u32 = 32;
const HOLD: Duration = Duration::from_millis(10);

/// The state of one port.
#[derive(Default)]
pub(crate) struct Doorbell {
    /// The port was reported and not unmasked yet.
    masked: bool,
    empty_events: u32,
    held_until: Option<Instant>,
}

impl Doorbell {
    /// The port was reported.
    pub(crate) fn on_event(&mut self) {
        self.masked = true;
        self.empty_events = self.empty_events.saturating_add(1);
    }

    /// Bytes were moved, so the notification was useful.
    pub(crate) fn was_useful(&mut self) {
        self.empty_events = 0;
    }

    /// Unmasks the port, or returns when it may be unmasked.
    pub(crate) fn open(
        &mut self,
        port: Port,
        events: &mut dyn EventChannels,
        now: Instant,
    ) -> io::Result<Option<Instant>> {
        if !self.masked {
            return Ok(None);
        }
        if self.empty_events >= EMPTY_EVENTS {
            let until = *self.held_until.get_or_insert(now + HOLD);
            if now < until {
                return Ok(Some(until));
            }
        }
        self.held_until = None;
        self.empty_events = self.empty_events.min(EMPTY_EVENTS - 1);
        self.masked = false;
        events.unmask(port)?;
        Ok(None)
    }
}
