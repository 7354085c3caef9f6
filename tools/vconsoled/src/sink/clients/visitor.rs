// SPDX-License-Identifier: MIT
//! An attached user, and the audit events of its session: its start, its changes,
//! and its end with the reason.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use console_proto::Mode;

use crate::access::Caller;
use crate::sink::audit::{Audit, Event};

/// An attached user.
pub(crate) struct Visitor {
    caller: Caller,
    /// The origin from its request.
    origin: Option<String>,
    /// The console, such as `3/vuart0`, and its domain's name.
    console: (String, String),
    since: Instant,
    began: SystemTime,
    audit: Arc<Audit>,
}

impl Visitor {
    /// A user that attaches now.
    pub(crate) fn new(
        caller: Caller,
        origin: Option<String>,
        console: (String, String),
        audit: &Arc<Audit>,
    ) -> Self {
        Self {
            caller,
            origin,
            console,
            since: Instant::now(),
            began: SystemTime::now(),
            audit: Arc::clone(audit),
        }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The origin from its request.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// When it attached, in seconds since 1970.
    pub(crate) fn since(&self) -> u64 {
        let since = self.began.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    fn event(&self, name: &'static str) -> Event {
        let (console, domain) = &self.console;
        Event::new(name).at(console, domain).by(&self.caller)
    }

    /// Records its start.
    pub(crate) fn tell_begin(&self, mode: Mode) {
        let types = mode == Mode::ReadWrite;
        let event = self.event("attached").maybe("origin", self.origin());
        self.audit.record(event.with("types", types));
    }

    /// Records whether it types from now on, and why.
    pub(crate) fn tell_mode(&self, types: bool, why: &'static str) {
        let event = self.event("mode").with("types", types);
        self.audit.record(event.with("why", why));
    }

    /// Records its end.
    pub(crate) fn tell_end(&self, why: &str) {
        let event = self.event("detached");
        let event = event.with("seconds", self.since.elapsed().as_secs());
        self.audit.record(event.with("why", why));
    }
}
