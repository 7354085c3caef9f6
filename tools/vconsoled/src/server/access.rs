// SPDX-License-Identifier: MIT
//! Access decisions of the server: every request is decided by
//! [`Rules::rights`](crate::access::Rules::rights), and attached users are
//! checked again when the rules or a domain's name change.

use std::cell::Cell;

use console_proto::{Code, Error, Mode};
use xen_io::DomId;

use super::Server;
use crate::access::{Caller, Found, Guest, Rules};
use crate::config::{Config, Right, Rights};
use crate::guest::exchange::Domain;
use crate::guest::nodes::{Key, name_of};
use crate::ipc::endpoints::EndpointDir;
use crate::ipc::metrics::Denied;

/// The rules, and the numbers of denied requests.
pub(super) struct Access {
    pub(super) rules: Rules,
    pub(super) denied: Cell<Denied>,
}

/// The properties of a domain that rules use.
pub(super) struct Identity {
    name: String,
    uuid: String,
}

impl Identity {
    pub(super) fn uuid(&self) -> &str {
        &self.uuid
    }
}

impl Access {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            denied: Cell::default(),
        }
    }

    fn count(&self, count: impl FnOnce(&mut Denied)) {
        let mut denied = self.denied.get();
        count(&mut denied);
        self.denied.set(denied);
    }
}

impl Server {
    /// A caller's rights on a console.
    pub(super) fn rights(&self, caller: &Caller, (domid, slot): Key) -> Rights {
        let known = self.guests.identities.get(&domid);
        let guest = known.map_or(Guest { name: "", uuid: "" }, |known| Guest {
            name: &known.name,
            uuid: &known.uuid,
        });
        let rules = &self.access.rules;
        rules.rights(caller, guest, &slot.to_string())
    }

    /// Whether a caller may see that a domain exists.
    pub(super) fn may_see(&self, caller: &Caller, domid: DomId) -> bool {
        let keys = self.served.by_key.keys();
        let mut keys = keys.filter(|(of, _)| *of == domid);
        self.access.rules.is_master(caller)
            || keys.any(|key| self.rights(caller, *key).has(Right::List))
    }

    /// Whether it is known if that domain exists.
    pub(super) fn is_settled(&self, domid: DomId) -> bool {
        self.guests.known || self.guests.domains.contains(&domid)
    }

    /// The name of a console in a refusal. A caller that may not see the domain
    /// gets the same text whether the console is hidden or does not exist.
    pub(super) fn name_to(&self, caller: &Caller, key: Key) -> String {
        let name = name_of(key);
        if self.may_see(caller, key.0) {
            name
        } else {
            format!("{name}, if it is there")
        }
    }

    /// How a caller is attached, if it may be.
    pub(super) fn admission(&self, caller: &Caller, key: Key, wanted: Mode) -> Option<Admission> {
        let rights = self.rights(caller, key);
        rights.has(Right::Watch).then(|| Admission {
            mode: allowed(rights, wanted),
            scrollback: rights.has(Right::Log),
        })
    }

    /// The error for a caller that may not be attached.
    pub(super) fn deny_attach(&self, what: &str) -> Error {
        self.access.count(|denied| denied.attach += 1);
        Error::coded(Code::Denied, format!("you may not watch {what}"))
    }

    /// The same on a console's own socket.
    pub(super) fn deny_socket(&self, caller: &Caller, key: Key) {
        self.access.count(|denied| denied.socket += 1);
        self.refuse_socket(caller, key, "denied");
    }

    /// The error for a caller without the right `control`.
    pub(super) fn deny_control(&self, what: &str) -> Error {
        self.access.count(|denied| denied.control += 1);
        Error::coded(Code::Denied, format!("you may not {what}"))
    }

    /// Checks whether a caller may send a break.
    pub(super) fn check_break(&self, caller: &Caller, key: Key) -> Result<(), Error> {
        if !self.is_settled(key.0) || self.rights(caller, key).has(Right::Break) {
            return Ok(());
        }
        let name = self.name_to(caller, key);
        self.access.count(|denied| denied.send_break += 1);
        let what = format!("you may send no break to {name}");
        Err(Error {
            code: Some(Code::Denied),
            ..Error::new(what)
        })
    }

    /// Applies other rules.
    pub(super) fn change_rules(&mut self, found: Found) {
        for missing in &found.missing {
            tracing::warn!("{missing}; it grants nothing");
        }
        self.access.rules.given = found.rules;
        self.open_sockets();
        let served: Vec<usize> = self.served.consoles.keys().copied().collect();
        for token in served {
            self.review(token);
        }
    }

    /// Opens the sockets to all users while rules decide, as far as the
    /// configured permissions permit.
    fn open_sockets(&mut self) {
        let sockets = &self.config.sockets;
        let control = self.config.socket_mode(sockets.control_mode);
        let consoles = self.config.socket_mode(sockets.consoles_mode);
        let by_control = self.ipc.control.iter();
        let by_control = by_control.map(|one| one.set_mode(control));
        let dir = self.ipc.endpoint_dir.iter_mut();
        let dir = dir.filter(|_| !self.config.access.is_empty());
        let dir = dir.map(EndpointDir::let_through);
        let endpoints = self.served.consoles.values();
        let endpoints = endpoints.flat_map(|console| console.clients.endpoints());
        let endpoints = endpoints.map(|one| one.set_mode(consoles));
        for done in by_control.chain(dir).chain(endpoints) {
            if let Err(error) = done {
                tracing::warn!("a socket keeps its permissions: {error}");
            }
        }
    }

    /// Checks all sessions of a console again: a caller without the right `watch`
    /// is disconnected, one without `type` becomes read-only.
    fn review(&mut self, token: usize) {
        let Some(console) = self.served.consoles.get(&token) else {
            return;
        };
        let key = (console.domid, console.slot);
        let decided: Vec<(usize, Rights)> = console
            .clients
            .callers()
            .map(|(session, caller)| (session, self.rights(caller, key)))
            .collect();
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return;
        };
        for (session, rights) in decided {
            if !rights.has(Right::Watch) {
                self.access.count(|denied| denied.session += 1);
                console.cut_off(session, "denied");
            } else if !rights.has(Right::Type) {
                console.clients.take_keyboard(session);
            }
        }
        let left = console.clients.take_closed();
        self.forget_closed(left);
        self.schedule.ready.push(token);
    }

    /// Takes over a domain's name from xenstore. A session that depends on a rule
    /// for another name is closed, and none continues at another domain with the
    /// same number.
    pub(super) fn follow_identity(&mut self, domid: DomId, domain: &Domain) {
        let (name, uuid) = (domain.name.clone(), domain.uuid.clone());
        let now = Identity { name, uuid };
        let before = self.guests.identities.insert(domid, now);
        let is_same = before
            .as_ref()
            .is_some_and(|before| (&before.name, &before.uuid) == (&domain.name, &domain.uuid));
        let before = before
            .map(|before| before.uuid)
            .filter(|uuid| !uuid.is_empty());
        if before.is_some_and(|before| !domain.uuid.is_empty() && before != domain.uuid) {
            self.replace(domid);
        }
        self.follow_name(domid, &domain.name);
        let keys = self.served.by_key.iter();
        let keys = keys.filter(|((of, _), _)| *of == domid);
        let tokens: Vec<usize> = keys.map(|(_, token)| *token).collect();
        for token in tokens {
            self.review(token);
            if !is_same {
                self.set_watch(token);
            }
        }
    }

    /// Closes what was served of a domain that is gone and whose number another
    /// domain has.
    fn replace(&mut self, domid: DomId) {
        tracing::info!("domain {domid} is another domain now");
        // Sessions get the reason "domain".
        self.guests.domains.remove(&domid);
        let served = self.served.by_key.keys().chain(self.channels.by_key.keys());
        let keys: Vec<Key> = served.filter(|(of, _)| *of == domid).copied().collect();
        for key in keys {
            self.forget_console(key);
            self.guests.discovery.look(key);
        }
        self.guests.domains.insert(domid);
    }
}

/// How a caller is attached.
pub(super) struct Admission {
    pub(super) mode: Mode,
    /// Whether it may see earlier output.
    pub(super) scrollback: bool,
}

fn allowed(rights: Rights, wanted: Mode) -> Mode {
    if rights.has(Right::Type) {
        wanted
    } else {
        Mode::ReadOnly
    }
}

/// The rules at the start of the daemon.
pub(super) fn rules(config: &Config, found: Found) -> std::io::Result<Rules> {
    let sockets = &config.sockets;
    let permissions = |mode| crate::access::permissions(mode, sockets.group.as_deref());
    Ok(Rules {
        own: rustix::process::geteuid().as_raw(),
        control: permissions(sockets.control_mode)?,
        consoles: permissions(sockets.consoles_mode)?,
        given: found.rules,
    })
}
