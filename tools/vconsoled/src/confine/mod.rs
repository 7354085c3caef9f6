// SPDX-License-Identifier: MIT
//! Gives up privileges that are not needed once the devices are open: root, its
//! capabilities, and, as far as the kernel can, access to files and system calls.
//!
//! The [`broker`] opens what requires privileges later.
//!
//! This must happen before the first thread is started: the kernel confines the
//! calling thread and those that it starts.

pub mod broker;
mod folders;
mod landlock;
mod seccomp;

use std::fmt;

use anyhow::{Context as _, bail};
use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid, setgroups, setresgid, setresuid};

use crate::config::Config;

pub use self::landlock::Files;

/// The confinement in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The user of the process.
    pub uid: u32,
    /// Access to files.
    pub files: Files,
    /// Access to sockets.
    pub sockets: Files,
    /// Whether system calls are filtered.
    pub system_calls: bool,
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = if self.system_calls {
            "filtered"
        } else {
            "not filtered"
        };
        let Self {
            uid,
            files,
            sockets,
            ..
        } = self;
        write!(
            f,
            "runs as user {uid}, files {files}, sockets {sockets}, system calls {calls}"
        )
    }
}

/// Creates the folders, and gives up privileges by the configuration. After an
/// error the process must end: it may be half confined.
pub fn give_up(config: &Config) -> anyhow::Result<InForce> {
    let user = match config.process.user.as_deref() {
        Some(name) if geteuid().is_root() => Some(find_user(name)?),
        // Started as another user, or to stay root.
        _ => None,
    };
    folders::make(config, user.as_ref().map(|user| user.uid))?;
    if let Some(user) = user {
        let shared = config
            .sockets
            .group
            .as_deref()
            .map(find_group)
            .transpose()?;
        let way = folders::groups_on_the_way(config, user.uid)?;
        let groups = way.into_iter().chain(shared).collect();
        become_user(&user, groups).with_context(|| format!("becoming the user {}", user.name))?;
    }
    let (files, sockets, system_calls) = if config.process.sandbox {
        rustix::thread::set_no_new_privs(true).context("no new privileges")?;
        (
            landlock::confine(config)?,
            landlock::confine_sockets(config)?,
            seccomp::filter()?,
        )
    } else {
        (Files::Open, Files::Open, false)
    };
    Ok(InForce {
        uid: geteuid().as_raw(),
        files,
        sockets,
        system_calls,
    })
}

fn find_user(name: &str) -> anyhow::Result<User> {
    User::from_name(name)?.with_context(|| {
        format!(
            "there is no user {name} to become: add one \
             (adduser --system --group {name}), or name another as `user` in the \
             section [process] of the configuration (an empty one to stay root)"
        )
    })
}

fn find_group(name: &str) -> anyhow::Result<Gid> {
    let group = Group::from_name(name)?.with_context(|| {
        format!("there is no group {name}, the `group` of the section [sockets]")
    })?;
    Ok(group.gid)
}

/// Changes to a user, with `groups` added; all capabilities go with root.
fn become_user(user: &User, mut groups: Vec<Gid>) -> anyhow::Result<()> {
    groups.push(user.gid);
    setgroups(&groups)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    let back = setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0));
    let still_root = user.uid.is_root();
    if !still_root && (back.is_ok() || geteuid() != user.uid || getegid() != user.gid) {
        bail!("there is a way back to root");
    }
    Ok(())
}
