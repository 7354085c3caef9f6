// SPDX-License-Identifier: MIT
//! What is told of the consoles, on the control socket and in counters.

use console_proto::{Row, Status, VERSION};

use super::{NOT_KNOWN, Server};
use crate::channel::Channel;

impl Server {
    pub(super) fn metrics_text(&self) -> String {
        crate::ipc::metrics::write(&self.status().consoles, &self.ipc.process)
    }

    pub(super) fn status(&self) -> Status {
        let served = self.served.consoles.values().map(|console| Row {
            domid: console.domid.0,
            name: console.name.clone(),
            console: console.slot.to_string(),
            kind: console.source().kind().to_string(),
            tty: console.pty().name().to_owned(),
            log: console.log_path().display().to_string(),
            viewers: console.viewers(),
            from_guest: console.counters.from_guest,
            to_guest: console.counters.to_guest,
            doorbells_in: console.counters.doorbells_in,
            doorbells_out: console.counters.doorbells_out,
            resyncs: console.resyncs(),
            dropped: console.dropped(),
            lost: console.lost(),
            out_waiting: console.waiting().0,
            in_waiting: console.waiting().1,
            log_lost: console.log_lost(),
            journal_lost: console.journal_lost(),
            state: "connected".to_owned(),
        });
        let channels = self.channels.iter().map(|channel| Row {
            domid: channel.domid.0,
            name: channel.name.clone(),
            console: channel.slot.to_string(),
            kind: "channel".to_owned(),
            tty: channel.path().display().to_string(),
            viewers: usize::from(channel.has_client()),
            from_guest: channel.counters.from_guest,
            to_guest: channel.counters.to_guest,
            doorbells_in: channel.counters.doorbells_in,
            doorbells_out: channel.counters.doorbells_out,
            resyncs: channel.resyncs(),
            out_waiting: channel.waiting().0,
            in_waiting: channel.waiting().1,
            state: self.channel_state(channel),
            ..Row::default()
        });
        let failed = self
            .guests
            .failures
            .iter()
            .filter(|(key, _)| !self.is_served(**key))
            .map(|((domid, slot), failure)| Row {
                domid: domid.0,
                console: slot.to_string(),
                state: failure.why.clone(),
                ..Row::default()
            });
        let mut consoles: Vec<Row> = served.chain(channels).chain(failed).collect();
        consoles.sort_by(|a, b| (a.domid, &a.console).cmp(&(b.domid, &b.console)));
        Status {
            version: VERSION,
            pid: std::process::id(),
            consoles,
            incomplete: (!self.guests.known).then(|| NOT_KNOWN.to_owned()),
        }
    }

    fn channel_state(&self, channel: &Channel) -> String {
        match self.guests.failures.get(&(channel.domid, channel.slot)) {
            Some(failure) => failure.why.clone(),
            None if channel.link().is_some() => "connected".to_owned(),
            None => "waits for the guest".to_owned(),
        }
    }
}
