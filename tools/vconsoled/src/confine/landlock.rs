// SPDX-License-Identifier: MIT
//! Which files can be reached (landlock(7)). Descriptors that are open already
//! stay as they are.

use std::fmt;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetStatus, make_bitflags, path_beneath_rules,
};

use super::folders;
use crate::config::Config;

/// The newest version whose rights are known here; older kernels know fewer.
const NEWEST: ABI = ABI::V5;

/// Read: time zones, users, this process's own state.
const READ: [&str; 4] = [
    "/etc",
    "/usr/share/zoneinfo",
    "/proc/self",
    "/proc/sys/kernel/random",
];

/// Terminals, and what a daemon's standard streams become.
const DEVICES: [&str; 3] = ["/dev/pts", "/dev/ptmx", "/dev/null"];

/// What may be done to files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// All that the user may.
    Open,
    /// The kernel cannot confine, or not as wanted.
    Unconfined,
    /// As wanted, as far as this older kernel knows.
    Partly,
    /// As wanted.
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
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(READ, read))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(folders, folder))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Files::Confined,
        RulesetStatus::PartiallyEnforced => Files::Partly,
        RulesetStatus::NotEnforced => Files::Unconfined,
    })
}
