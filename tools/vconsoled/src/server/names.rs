// SPDX-License-Identifier: MIT
//! Finds consoles by name. Domains can be renamed, and several can have the same
//! name: everywhere it means the newest, the one with the highest number.

use std::collections::BTreeSet;

use console_proto::{Attach, Code, Domain, Error};
use xen_io::DomId;

use super::access::Admission;
use super::{NOT_KNOWN, Server};
use crate::access::Caller;
use crate::console::Console;
use crate::guest::nodes::Key;

impl Server {
    /// The console of an attach request, other domains with the requested name,
    /// and how the caller is attached. Domains that the caller may not see are
    /// skipped.
    pub(super) fn find_console(
        &self,
        wanted: &Attach,
        caller: &Caller,
    ) -> Result<(usize, Vec<u16>, Admission), Error> {
        let (domid, others) = match &wanted.domain {
            Domain::Id(domid) => (DomId(*domid), Vec::new()),
            Domain::Name(name) => {
                let mut all = self.named(name);
                all.retain(|domid| self.may_see(caller, *domid));
                let all_is_seen = !self.guests.known || self.access.rules.is_master(caller);
                let newest = all.pop_last().ok_or_else(|| {
                    if all_is_seen {
                        self.missing(Code::NoDomain, "there is no such domain")
                    } else {
                        self.deny_attach(&format!("{name:?}, if it is there"))
                    }
                })?;
                (newest, all.into_iter().map(|other| other.0).collect())
            }
        };
        let slot = wanted.console.parse().map_err(|()| {
            let what = format!(
                "{:?} is no console: pv0, vuart0 and pv1 are",
                wanted.console
            );
            Error::coded(Code::NoConsole, what)
        })?;
        let key = (domid, slot);
        let admission = self.admission(caller, key, wanted.mode);
        // Checked before faults of the console and its absence, which not every
        // caller may see.
        let deny = || self.deny_attach(&self.name_to(caller, key));
        if admission.is_none() && self.is_settled(domid) {
            return Err(deny());
        }
        let (token, _) = self.console(key)?;
        let admission = admission.ok_or_else(deny)?;
        Ok((token, others, admission))
    }

    /// A served console with its token, or the error.
    pub(super) fn console(&self, key: Key) -> Result<(usize, &Console), Error> {
        let (domid, slot) = key;
        let token = self.served.by_key.get(&key);
        if let Some((token, console)) =
            token.and_then(|token| Some((*token, self.served.consoles.get(token)?)))
        {
            return Ok((token, console));
        }
        let channel = self.channels.by_key.get(&key);
        if let Some(channel) = channel.and_then(|token| self.channels.open.get(token)) {
            let path = channel.path().display();
            let what = format!("{domid}/{slot} is a channel, at {path}");
            return Err(Error::coded(Code::NoConsole, what));
        }
        if let Some(failure) = self.guests.failures.get(&key) {
            let what = format!("{domid}/{slot} is not served: {}", failure.why);
            return Err(Error::coded(Code::NoConsole, what));
        }
        Err(if self.guests.domains.contains(&domid) {
            self.missing(
                Code::NoConsole,
                &format!("no console {domid}/{slot} is served now"),
            )
        } else {
            self.missing(Code::NoDomain, "there is no such domain")
        })
    }

    /// The error for something that does not exist, if that is known.
    fn missing(&self, code: Code, what: &str) -> Error {
        if self.guests.known {
            Error::coded(code, what)
        } else {
            Error::coded(Code::NotKnown, NOT_KNOWN)
        }
    }

    /// The domains of that name that have a console.
    fn named(&self, name: &str) -> BTreeSet<DomId> {
        let consoles = self.served.consoles.values();
        let named = consoles.filter(|console| !name.is_empty() && console.name == name);
        named.map(|console| console.domid).collect()
    }

    /// Updates the name of a domain's consoles. Their logs keep their names until
    /// the consoles are connected again.
    pub(super) fn follow_name(&mut self, domid: DomId, name: &str) {
        let channels = self.channels.open.values_mut();
        for channel in channels.filter(|channel| channel.domid == domid) {
            name.clone_into(&mut channel.name);
        }
        let mut before = BTreeSet::new();
        let consoles = self.served.consoles.values_mut();
        for console in consoles.filter(|one| one.domid == domid && one.name != name) {
            before.insert(std::mem::replace(&mut console.name, name.to_owned()));
            if let Some(journal) = console.journal_mut() {
                journal.rename(name);
            }
            if let Some(watching) = console.watching_mut() {
                watching.log.rename(name);
            }
        }
        for before in &before {
            tracing::info!("domain {domid}: {before:?} is now called {name:?}");
            self.publish_name(before);
        }
        if !before.is_empty() {
            self.publish_name(name);
        }
    }

    /// Links a name to the sockets of the domain that it means, once all domains
    /// of that name are known.
    pub(super) fn publish_name(&self, name: &str) {
        let Some(sockets) = self.ipc.endpoint_dir.as_ref().filter(|_| self.begun) else {
            return;
        };
        if let Err(error) = sockets.link(name, self.named(name).last().copied()) {
            tracing::warn!("{name:?}: sockets are not found by that name: {error}");
        }
    }

    /// The same for all names.
    pub(super) fn publish_names(&self) {
        let consoles = self.served.consoles.values();
        let names: BTreeSet<&str> = consoles.map(|console| console.name.as_str()).collect();
        for name in names {
            self.publish_name(name);
        }
    }
}
