// SPDX-License-Identifier: MIT
//! Requests of clients of the control socket.

use std::io;

use console_proto::{Answer, Error, Request};

use super::Server;
use crate::access::Caller;
use crate::guest::nodes::parse_key;
use crate::guest::source::Kind;
use crate::sink::audit::Event;

impl Server {
    pub(super) fn handle_request(&mut self, request: Request, caller: &Caller) -> Answer {
        let name = match request {
            Request::Status => "status",
            Request::Break(_) => "break",
            Request::Who => "who",
            Request::Message(..) => "message",
        };
        let answer = match request {
            Request::Status => return Answer::Status(self.status(Some(caller))),
            Request::Break(console) => self.send_break(console, caller).map(|()| Answer::Done {
                done: "break",
                viewers: None,
            }),
            Request::Who => self.who(caller).map(Answer::Who),
            Request::Message(to, text) => self.message(to, text, caller),
        };
        answer.unwrap_or_else(|refused| {
            self.refuse(name, &refused, caller);
            Answer::Error(refused)
        })
    }

    fn send_break(&self, name: &str, caller: &Caller) -> Result<(), Error> {
        let key = parse_key(name).ok_or_else(|| {
            Error::new(format!("{name:?} is no console; they are named 3/vuart0"))
        })?;
        // First: not every caller may see faults of a console.
        self.check_break(caller, key)?;
        let (_, console) = self.console(key).map_err(|why| Error::new(why.error))?;
        match console.source().kind() {
            Kind::Vuart | Kind::VuartPrivate => {}
            Kind::Pv | Kind::Secondary => {
                let what = format!("{name} is a PV console, which has no break");
                return Err(Error::new(what));
            }
        }
        self.xen
            .hypervisor
            .send_break(console.domid)
            .map_err(|error| {
                Error::new(match error.kind() {
                    io::ErrorKind::InvalidInput => {
                        format!("{name}: this hypervisor cannot send a break")
                    }
                    _ => format!("{name}: no break was sent: {error}"),
                })
            })?;
        let (console, domain) = console.names();
        let event = Event::new("break").at(&console, &domain).by(caller);
        self.audit.record(event);
        Ok(())
    }
}
