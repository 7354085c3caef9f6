// SPDX-License-Identifier: MIT
//! Who is attached to a console, and the lines in the daemon's messages that say
//! so: when it began and when and why it ended.

use std::time::{Instant, SystemTime};

use console_proto::Mode;

use crate::access::Caller;

/// Somebody who is attached.
pub(crate) struct Visitor {
    caller: Caller,
    /// Whence it says to come.
    origin: Option<String>,
    /// To what, such as `3/vuart0`.
    console: String,
    since: Instant,
    began: SystemTime,
}

impl Visitor {
    /// Somebody who is attached from now on.
    pub(crate) fn new(caller: Caller, origin: Option<String>, console: String) -> Self {
        Self {
            caller,
            origin,
            console,
            since: Instant::now(),
            began: SystemTime::now(),
        }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whence it says to come.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Since when, in seconds since 1970.
    pub(crate) fn since(&self) -> u64 {
        let since = self.began.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    /// Says that it began.
    pub(crate) fn tell_begin(&self, mode: Mode) {
        let Caller { uid, pid, .. } = self.caller;
        let tenant = self.caller.tenant.as_ref().map(AsRef::<str>::as_ref);
        tracing::info!(
            console = self.console,
            uid,
            pid,
            tenant,
            origin = self.origin,
            types = mode == Mode::ReadWrite,
            "attached"
        );
    }

    /// Says that it ended.
    pub(crate) fn tell_end(&self, why: &str) {
        let Caller { uid, pid, .. } = self.caller;
        let tenant = self.caller.tenant.as_ref().map(AsRef::<str>::as_ref);
        tracing::info!(
            console = self.console,
            uid,
            pid,
            tenant,
            seconds = self.since.elapsed().as_secs(),
            why,
            "detached"
        );
    }
}
