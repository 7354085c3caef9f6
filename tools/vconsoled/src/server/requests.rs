// SPDX-License-Identifier: MIT
//! What clients of the control socket ask for.

use std::io;

use console_proto::{Answer, Error, Request};

use super::Server;
use crate::guest::nodes::parse_key;
use crate::guest::source::Kind;

impl Server {
    pub(super) fn handle_request(&self, request: Request) -> Answer {
        match request {
            Request::Status => Answer::Status(self.status()),
            Request::Break(console) => match self.send_break(console) {
                Ok(()) => Answer::Done { done: "break" },
                Err(error) => Answer::Error(Error::new(error)),
            },
        }
    }

    fn send_break(&self, name: &str) -> Result<(), String> {
        let key = parse_key(name)
            .ok_or_else(|| format!("{name:?} is no console; they are named 3/vuart0"))?;
        let (_, console) = self.console(key).map_err(|why| why.error)?;
        match console.source().kind() {
            Kind::Vuart | Kind::VuartPrivate => {}
            Kind::Pv | Kind::Secondary => {
                return Err(format!("{name} is a PV console, which has no break"));
            }
        }
        self.xen
            .hypervisor
            .send_break(console.domid)
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => {
                    format!("{name}: this hypervisor cannot send a break")
                }
                _ => format!("{name}: no break was sent: {error}"),
            })
    }
}
