// SPDX-License-Identifier: MIT
//! Requests about other users' sessions: list them, send messages, type
//! exclusively; and the end of idle sessions.

use std::time::{Duration, Instant};

use console_proto::{Answer, Code, Error, Exclusive, MESSAGE_MAX, Mode, To, VERSION, Viewer, Who};
use xen_io::DomId;

use super::Server;
use crate::access::{Caller, Way};
use crate::config::Right;
use crate::console::Console;
use crate::guest::nodes::{Key, name_of, parse_key};
use crate::sink::audit::Event;
use crate::sink::clients::session::{IDLE, Session};

impl Server {
    /// The viewers of consoles that the caller controls.
    pub(super) fn who(&self, caller: &Caller) -> Result<Who, Error> {
        let tokens = self.controlled(caller, |_| true);
        if tokens.is_empty() && !self.served.consoles.is_empty() {
            return Err(self.deny_control("see who is attached"));
        }
        let now = Instant::now();
        let consoles = tokens
            .iter()
            .filter_map(|one| self.served.consoles.get(one));
        let viewers = consoles.flat_map(|console| {
            let pty = console.is_pty_open().then(|| Viewer {
                way: "pty".to_owned(),
                types: true,
                ..of_console(console)
            });
            let sessions = console.clients.sessions();
            let sessions = sessions.map(|(token, session)| Viewer {
                exclusive: console.clients.is_holder(token),
                ..viewer(console, session, now)
            });
            sessions.chain(pty).collect::<Vec<_>>()
        });
        let mut viewers: Vec<Viewer> = viewers.collect();
        viewers.sort_by(|a, b| (a.domid, &a.console).cmp(&(b.domid, &b.console)));
        Ok(Who {
            version: VERSION,
            viewers,
        })
    }

    /// Sends a message to viewers.
    pub(super) fn message(&mut self, to: To, text: &str, caller: &Caller) -> Result<Answer, Error> {
        let text = console_proto::plain(text);
        let text = text.trim();
        if text.is_empty() || text.len() > MESSAGE_MAX {
            let what = format!("a message has 1 to {MESSAGE_MAX} bytes");
            return Err(Error::coded(Code::BadRequest, what));
        }
        let tokens = self.addressed(to, caller)?;
        let notice = format!("message from {}: {text}", name(caller));
        let mut viewers = 0;
        for token in tokens {
            if let Some(console) = self.served.consoles.get_mut(&token) {
                viewers += console.clients.notify(&notice);
                self.schedule.ready.push(token);
            }
        }
        let addressee = match to {
            To::All => "all",
            To::Some(name) => name,
        };
        let event = Event::new("message").by(caller).with("to", addressee);
        self.audit
            .record(event.with("viewers", viewers).with("text", text));
        let done = "message";
        Ok(Answer::Done {
            done,
            viewers: Some(viewers),
        })
    }

    /// The consoles that a message is for.
    fn addressed(&self, to: To, caller: &Caller) -> Result<Vec<usize>, Error> {
        let meant: Box<dyn Fn(Key) -> bool> = match to {
            To::All => Box::new(|_| true),
            To::Some(name) => match (name.parse(), parse_key(name)) {
                (Ok(domid), _) => Box::new(move |(of, _)| of == DomId(domid)),
                (_, Some(meant)) => Box::new(move |key| key == meant),
                _ => {
                    let what = format!("{name:?} is neither a domain's number nor like 3/vuart0");
                    return Err(Error::coded(Code::BadRequest, what));
                }
            },
        };
        let tokens = self.controlled(caller, &meant);
        let is_served = || self.served.by_key.keys().any(|key| meant(*key));
        match to {
            To::All if tokens.is_empty() && is_served() => Err(self.deny_control("send messages")),
            // Not every caller may see that there is no such console.
            To::Some(_) if tokens.is_empty() && !self.access.rules.is_master(caller) => {
                Err(self.deny_control("send messages there"))
            }
            To::Some(_) if tokens.is_empty() => Err(Error::coded(
                Code::NoConsole,
                "no such console is served now",
            )),
            _ => Ok(tokens),
        }
    }

    /// The matching consoles that a caller controls.
    fn controlled(&self, caller: &Caller, meant: impl Fn(Key) -> bool) -> Vec<usize> {
        let served = self.served.by_key.iter();
        let served = served.filter(|(key, _)| meant(**key));
        let theirs = served.filter(|(key, _)| self.rights(caller, **key).has(Right::Control));
        theirs.map(|(_, token)| *token).collect()
    }

    /// Checks whether a caller with that mode may type exclusively.
    pub(super) fn check_exclusive(
        &self,
        console: &Console,
        caller: &Caller,
        mode: Mode,
        how: Exclusive,
    ) -> Result<(), Error> {
        let key = (console.domid, console.slot);
        if mode == Mode::ReadOnly {
            let what = "a read-only viewer cannot type exclusively";
            return Err(Error::coded(Code::BadRequest, what));
        }
        if how == Exclusive::Force {
            return if self.rights(caller, key).has(Right::Control) {
                Ok(())
            } else {
                let what = format!("take over exclusive typing at {}", name_of(key));
                Err(self.deny_control(&what))
            };
        }
        match console.clients.holder() {
            Some(holder) => {
                let who = name(holder.visitor().caller());
                Err(Error::coded(Code::Busy, format!("{who} types there alone")))
            }
            None => Ok(()),
        }
    }

    /// Makes a viewer type exclusively.
    pub(super) fn hold(&mut self, owner: usize, session: usize) {
        let Some(console) = self.served.consoles.get_mut(&owner) else {
            return;
        };
        let mut callers = console.clients.callers();
        let caller = callers.find(|(token, _)| *token == session);
        if let Some(caller) = caller.map(|(_, caller)| caller.clone()) {
            drop(callers);
            let notice = format!("{} types alone now", name(&caller));
            let (name, domain) = console.names();
            let event = Event::new("exclusive").at(&name, &domain);
            self.audit.record(event.by(&caller));
            console.clients.hold(session, &notice);
        }
    }

    /// Disconnects viewers that may type and did not within the configured time;
    /// schedules the next check.
    pub(super) fn close_idle(&mut self, now: Instant) {
        if self.ipc.idle_check.is_none_or(|at| now < at) {
            return;
        }
        let mut next = None;
        let mut left = Vec::new();
        for (token, console) in &mut self.served.consoles {
            let Some(limit) = idle_limit(&self.config, console) else {
                continue;
            };
            let sessions = console.clients.sessions();
            let waiting = sessions.filter(|(_, session)| session.types());
            let waiting = waiting.map(|(token, session)| (token, session.idle(now)));
            let (due, waiting): (Vec<_>, Vec<_>) = waiting.partition(|(_, idle)| *idle >= limit);
            for (session, _) in due {
                console.cut_off(session, IDLE);
                self.schedule.ready.push(*token);
            }
            let again = waiting
                .into_iter()
                .map(|(_, idle)| now + limit.saturating_sub(idle));
            next = next.into_iter().chain(again).min();
            left.extend(console.clients.take_closed());
        }
        self.ipc.idle_check = next;
        self.forget_closed(left);
    }

    /// Schedules a check for idle sessions now, for a new viewer or a changed limit.
    pub(super) fn look_for_idle(&mut self) {
        self.ipc.idle_check = Some(Instant::now());
    }
}

/// The limit of idle time, if there is one.
fn idle_limit(config: &crate::Config, console: &Console) -> Option<Duration> {
    let config = config.console(&console.name, &console.slot.to_string());
    let seconds = config.idle_timeout;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// The name of a caller in notices to others.
fn name(caller: &Caller) -> String {
    match caller.uid {
        0 => "root".to_owned(),
        u32::MAX => "somebody".to_owned(),
        uid => format!("user {uid}"),
    }
}

fn of_console(console: &Console) -> Viewer {
    Viewer {
        domid: console.domid.0,
        name: console.name.clone(),
        console: console.slot.to_string(),
        ..Viewer::default()
    }
}

fn viewer(console: &Console, session: &Session, now: Instant) -> Viewer {
    let visitor = session.visitor();
    let caller = visitor.caller();
    let way = match caller.way {
        Way::Control => "control",
        Way::Console => "socket",
    };
    Viewer {
        uid: (caller.uid != u32::MAX).then_some(caller.uid),
        pid: (caller.pid != 0).then_some(caller.pid),
        origin: visitor.origin().map(str::to_owned),
        way: way.to_owned(),
        types: session.types(),
        since: Some(visitor.since()),
        idle: Some(session.idle(now).as_secs()),
        ..of_console(console)
    }
}
