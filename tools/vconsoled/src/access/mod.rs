// SPDX-License-Identifier: MIT
//! Access decisions for consoles. All are made here, by [`Rules::rights`], only
//! from its arguments.
//!
//! Rules only grant. Root and the daemon's own user have every right. Without any
//! rule, so has every user who can connect by the permissions of the sockets. A
//! caller that asks for a tenant, root too, gets only the rights that rules grant
//! to that tenant by that caller.

mod lookup;
#[cfg(test)]
mod tests;

use std::fmt;

use console_proto::Tenant;

use crate::config::{Domains, Pattern, Rights};

pub(crate) use lookup::{Found, permissions};

/// The peer of a connection, as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    /// Its group and supplementary groups.
    pub(crate) groups: Vec<u32>,
    pub(crate) pid: u32,
    pub(crate) way: Way,
    /// The tenant that it asks for, if any.
    pub(crate) tenant: Option<Tenant>,
}

/// The kind of socket that a caller connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The control socket.
    Control,
    /// A console's own.
    Console,
}

/// The domain that a console belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest<'a> {
    pub(crate) name: &'a str,
    pub(crate) uuid: &'a str,
}

/// The permissions of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) mode: u32,
    pub(crate) group: u32,
}

/// A rule of the configuration, with numbers for the names of users and groups.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    users: Vec<u32>,
    groups: Vec<u32>,
    tenants: Vec<Tenant>,
    /// Users who may ask for the tenants.
    by: Vec<u32>,
    domains: Vec<Domains>,
    consoles: Vec<Pattern>,
    rights: Rights,
}

/// Everything that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The daemon's user.
    pub(crate) own: u32,
    /// The permissions of sockets, which decide if there are no rules.
    pub(crate) control: Permissions,
    pub(crate) consoles: Permissions,
    pub(crate) given: Vec<Rule>,
}

const ROOT: u32 = 0;

impl Caller {
    /// A caller without credentials from the kernel.
    pub(crate) fn unknown(way: Way) -> Self {
        Self {
            uid: u32::MAX,
            groups: Vec::new(),
            pid: 0,
            way,
            tenant: None,
        }
    }
}

/// The form in messages.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {}", self.uid)?;
        match &self.tenant {
            Some(tenant) => write!(f, " for the tenant {tenant}"),
            None => Ok(()),
        }
    }
}

impl Permissions {
    /// Whether the kernel lets a user other than the owner connect.
    fn let_connect(self, caller: &Caller) -> bool {
        let write = if caller.groups.contains(&self.group) {
            0o020
        } else {
            0o002
        };
        self.mode & write != 0
    }
}

impl Rule {
    fn fits(&self, caller: &Caller, guest: Guest, console: &str) -> bool {
        let mut groups = caller.groups.iter();
        let is_theirs = match &caller.tenant {
            Some(tenant) => self.by.contains(&caller.uid) && self.tenants.contains(tenant),
            None if self.users.contains(&caller.uid) => true,
            None => groups.any(|group| self.groups.contains(group)),
        };
        let mut domains = self.domains.iter();
        is_theirs
            && domains.any(|domains| domains.has(guest.name, guest.uuid))
            && self.consoles.iter().any(|pattern| pattern.matches(console))
    }
}

impl Rules {
    /// A caller's rights on a console of a guest.
    pub(crate) fn rights(&self, caller: &Caller, guest: Guest, console: &str) -> Rights {
        if self.is_master(caller) {
            return Rights::ALL;
        }
        if self.given.is_empty() && caller.tenant.is_none() {
            let socket = match caller.way {
                Way::Control => self.control,
                Way::Console => self.consoles,
            };
            return if socket.let_connect(caller) {
                Rights::ALL
            } else {
                Rights::NONE
            };
        }
        let fitting = self.given.iter();
        let fitting = fitting.filter(|rule| rule.fits(caller, guest, console));
        fitting.fold(Rights::NONE, |rights, rule| rights.and(rule.rights))
    }

    /// Whether a caller has every right regardless of rules.
    pub(crate) fn is_master(&self, caller: &Caller) -> bool {
        caller.tenant.is_none() && (caller.uid == ROOT || caller.uid == self.own)
    }
}
