// SPDX-License-Identifier: MIT
//! The numbers of the users and groups that rules name. Names are looked up when a
//! configuration is read; the caller's groups come from the kernel, later.

use std::io;

use nix::unistd::{Group, User};

use super::{Permissions, Rule};
use crate::config::{AccessRule, Name, SocketMode};

/// The result of looking up a configuration's rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) rules: Vec<Rule>,
    /// Names that were not found, with the reason.
    pub(crate) missing: Vec<String>,
}

impl Found {
    /// Looks up every name. A missing name grants nothing, and is not fatal:
    /// users come and go.
    pub(crate) fn of(rules: &[AccessRule]) -> Self {
        let mut found = Self::default();
        for (number, rule) in (1..).zip(rules) {
            let mut look = |kind: &str, names: &[Name], find: Find| {
                let mut ids = Vec::new();
                for name in names {
                    match name.number().map_or_else(|| find(name.as_ref()), Ok) {
                        Ok(id) => ids.push(id),
                        Err(why) => found
                            .missing
                            .push(format!("[[access]] number {number}: {kind} {name}: {why}")),
                    }
                }
                ids
            };
            let users = look("user", &rule.users, user);
            let groups = look("group", &rule.groups, group);
            let by = look("user", &rule.by, user);
            found.rules.push(Rule {
                users,
                groups,
                tenants: rule.tenants.clone(),
                by,
                domains: rule.domains.clone(),
                consoles: rule.consoles.clone(),
                rights: rule.rights,
            });
        }
        found
    }
}

type Find = fn(&str) -> Result<u32, String>;

fn user(name: &str) -> Result<u32, String> {
    let found = User::from_name(name).map_err(|errno| errno.to_string())?;
    let user = found.ok_or("there is none")?;
    Ok(user.uid.as_raw())
}

fn group(name: &str) -> Result<u32, String> {
    let found = Group::from_name(name).map_err(|errno| errno.to_string())?;
    let group = found.ok_or("there is none")?;
    Ok(group.gid.as_raw())
}

/// The permissions of a socket with that mode and group; by default the process's group.
pub(crate) fn permissions(mode: SocketMode, group: Option<&str>) -> io::Result<Permissions> {
    let group = match group {
        Some(name) => {
            self::group(name).map_err(|why| io::Error::other(format!("the group {name}: {why}")))?
        }
        None => rustix::process::getegid().as_raw(),
    };
    Ok(Permissions {
        mode: mode.0,
        group,
    })
}
