// SPDX-License-Identifier: MIT
//! The consoles' status, for the control socket and the metrics.

use std::collections::BTreeMap;

use console_proto::{Row, Status, VERSION};

use super::{NOT_KNOWN, Server};
use crate::access::Caller;
use crate::channel::Channel;
use crate::config::{Right, Rights};
use crate::guest::nodes::Key;
use crate::ipc::metrics::Process;

impl Server {
    pub(super) fn metrics_text(&self) -> String {
        let process = Process {
            denied: self.access.denied.get(),
            audit_lost: self.audit.lost(),
            audit_limited: self.audit.limited(),
            ..self.ipc.process.clone()
        };
        crate::ipc::metrics::write(&self.status(None).consoles, &process)
    }

    /// Every console that the caller may see, or all of them.
    pub(super) fn status(&self, caller: Option<&Caller>) -> Status {
        let rights = |key: Key| caller.map_or(Rights::ALL, |caller| self.rights(caller, key));
        let seen = |key: Key, row: Row| {
            let rights = rights(key);
            rights.has(Right::List).then(|| for_rights(row, rights))
        };
        let served = self.served.consoles.values().filter_map(|console| {
            seen(
                (console.domid, console.slot),
                Row {
                    domid: console.domid.0,
                    name: console.name.clone(),
                    console: console.slot.to_string(),
                    kind: console.source().kind().to_string(),
                    tty: console.pty().name().to_owned(),
                    log: console.log_path().display().to_string(),
                    recording: console.recording_path().display().to_string(),
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
                    input_lost: console.counters.input_lost,
                    input_rate: console.input_rate(),
                    log_lost: console.log_lost(),
                    journal_lost: console.journal_lost(),
                    matches: console.matches(),
                    state: "connected".to_owned(),
                    ..Row::default()
                },
            )
        });
        let channels = self.channels.iter().filter_map(|channel| {
            seen(
                (channel.domid, channel.slot),
                Row {
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
                },
            )
        });
        let failed = self
            .guests
            .failures
            .iter()
            .filter(|(key, _)| !self.is_served(**key))
            .filter_map(|(key, failure)| {
                seen(
                    *key,
                    Row {
                        domid: key.0.0,
                        console: key.1.to_string(),
                        state: failure.why.clone(),
                        ..Row::default()
                    },
                )
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

/// A row for a caller with those rights: host data is for callers that control
/// the console.
fn for_rights(row: Row, rights: Rights) -> Row {
    let row = if rights.has(Right::Control) {
        row
    } else {
        Row {
            tty: String::new(),
            log: String::new(),
            recording: String::new(),
            matches: BTreeMap::new(),
            ..row
        }
    };
    Row {
        rights: rights.iter().map(|right| right.to_string()).collect(),
        ..row
    }
}
