// SPDX-License-Identifier: MIT
//! Restricts access to files (landlock(7)). Open descriptors are not affected.

use std::fmt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use super::folders;
use xen_io::xenstore;

use crate::config::Config;

/// The version with all rights to files; newer ones add rights to sockets.
const FILES: ABI = ABI::V5;

/// Readable: time zones, users, this process's own state.
const READ: [&str; 4] = [
    "/etc",
    "/usr/share/zoneinfo",
    "/proc/self",
    "/proc/sys/kernel/random",
];

/// Terminals, and the device of a daemon's standard streams.
const DEVICES: [&str; 3] = ["/dev/pts", "/dev/ptmx", "/dev/null"];

/// Sockets to connect to: xenstored's, and those for messages.
const PEERS: [&str; 4] = [
    "/run/xenstored",
    "/var/run/xenstored",
    "/dev/log",
    "/run/systemd/journal/dev-log",
];

/// The confinement of access to files, or to sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Everything that the user may.
    Open,
    /// The kernel does not support it.
    Unconfined,
    /// As far as this older kernel supports it.
    Partly,
    /// Confined completely.
    Confined,
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "not confined",
            Self::Unconfined => "not confined, as this kernel has no landlock",
            Self::Partly => "confined as far as this kernel can",
            Self::Confined => "confined",
        })
    }
}

pub(super) fn confine(config: &Config) -> anyhow::Result<Files> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let device = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | IoctlDev});
    let folder: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeSock | MakeSym | MakeDir | RemoveFile
            | RemoveDir
    });
    let folders: Vec<&Path> = folders::own(config)
        .chain(folders::of_sockets(config))
        .collect();
    // The folder, because the configuration is read again later, by then another file.
    let file = config.file.as_ref().and_then(|file| file.parent());
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(FILES))?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(file, read))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(folders, folder))?
        .restrict_self()?;
    Ok(status.ruleset.into())
}

/// For the broker: no file except the xenstore device.
pub(super) fn confine_broker() -> anyhow::Result<()> {
    let device = make_bitflags!(AccessFs::{ReadFile | WriteFile});
    Ruleset::default()
        .handle_access(AccessFs::from_all(FILES))?
        .create()?
        .add_rules(path_beneath_rules([xenstore::DEVICE], device))?
        .restrict_self()?;
    Ok(())
}

/// Restricts which sockets can be reached (by datagrams, as the filter of system
/// calls refuses `connect`) and which processes signalled: sockets by path since
/// Linux 7.1 (version 9), abstract sockets and signals since 6.12 (version 6).
pub(super) fn confine_sockets(config: &Config) -> anyhow::Result<Files> {
    let notify = std::env::var_os("NOTIFY_SOCKET").map(PathBuf::from);
    let store = std::env::var_os("XENSTORED_PATH").map(PathBuf::from);
    let abstract_peer = [&notify, &store]
        .into_iter()
        .flatten()
        .any(|path| path.as_os_str().as_encoded_bytes().starts_with(b"@"));
    let named = [notify, store, Some(config.log.journal_socket.clone())];
    let named = named.into_iter().flatten();
    let own = folders::own(config)
        .chain(folders::of_sockets(config))
        .map(Path::to_owned);
    let peers = PEERS.into_iter().map(PathBuf::from).chain(named).chain(own);
    let scope = if abstract_peer {
        Scope::Signal.into()
    } else {
        Scope::AbstractUnixSocket | Scope::Signal
    };
    let status = Ruleset::default()
        .handle_access(AccessFs::ResolveUnix)?
        .scope(scope)?
        .create()?
        .add_rules(path_beneath_rules(peers, AccessFs::ResolveUnix))?
        .restrict_self()?;
    Ok(status.ruleset.into())
}

impl From<RulesetStatus> for Files {
    fn from(status: RulesetStatus) -> Self {
        match status {
            RulesetStatus::FullyEnforced => Self::Confined,
            RulesetStatus::PartiallyEnforced => Self::Partly,
            RulesetStatus::NotEnforced => Self::Unconfined,
        }
    }
}
