// SPDX-License-Identifier: MIT
//! Audit events that belong to no session: a refusal, and a pty that an unknown
//! user opened or closed.

use console_proto::Error;

use super::Server;
use crate::access::Caller;
use crate::console::Console;
use crate::guest::nodes::{Key, name_of};
use crate::sink::audit::Event;

impl Server {
    /// Records a refused request on the control socket.
    pub(super) fn refuse(&self, request: &'static str, why: &Error, caller: &Caller) {
        let event = Event::new("refused").by(caller).with("request", request);
        self.audit.record(event.with("why", why.error.as_str()));
    }

    /// Records a refusal on a console's own socket.
    pub(super) fn refuse_socket(&self, caller: &Caller, key: Key, why: &str) {
        let event = Event::new("refused").with("console", name_of(key));
        self.audit.record(event.by(caller).with("why", why));
    }

    /// Checks whether a pty was opened, or closed by its last user.
    pub(super) fn look_at_pty(&mut self, token: usize) {
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return;
        };
        let before = console.is_pty_open();
        console.pty_mut().look();
        if before != console.is_pty_open() {
            self.audit.record(if before {
                pty_event("detached", console).with("why", "left")
            } else {
                pty_event("attached", console).with("types", true)
            });
        }
    }
}

/// An event of a console's pty. Its user is not known.
pub(super) fn pty_event(name: &'static str, console: &Console) -> Event {
    let (console, domain) = console.names();
    let event = Event::new(name).at(&console, &domain);
    event.with("way", "pty")
}
