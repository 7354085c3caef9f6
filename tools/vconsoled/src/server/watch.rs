// SPDX-License-Identifier: MIT
//! Applies watch rules to consoles.

use std::sync::Arc;

use super::Server;
use super::access::Identity;
use crate::buffer::Record;
use crate::console::Watching;
use crate::sink::journal::{Lines, Rate};
use crate::sink::watch::Watch;

impl Server {
    /// Sets the watch rules of a console's output, or removes them if none
    /// matches.
    pub(super) fn set_watch(&mut self, token: usize) {
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return;
        };
        let (domid, slot) = (console.domid, console.slot.to_string());
        let name = console.name.as_str();
        let identity = self.guests.identities.get(&domid);
        let uuid = identity.map_or("", Identity::uuid);
        let rules = self.config.watch.of(name, uuid, &slot);
        let config = self.config.console(name, &slot);
        let rate = Rate {
            lines: config.journal_rate,
            burst: config.journal_burst,
        };
        let before = console.watching_mut().take();
        let watch = before.as_ref().map(|one| one.watch.clone());
        let watch = Watch::new(&rules, &watch.unwrap_or_default());
        if watch.is_empty() {
            return;
        }
        let log = if let Some(Watching { log, .. }) = before {
            log.watch(watch.clone());
            log.limit(rate);
            log
        } else {
            let lines = Lines::watched(watch.clone(), domid.0, &console.name, &slot, rate);
            let journal = Arc::clone(&self.sinks.journal);
            let output = Arc::clone(console.output());
            let logs = &self.sinks.watch;
            logs.feed(journal, lines, output, Record::Watch)
        };
        *console.watching_mut() = Some(Watching { watch, log });
    }
}
