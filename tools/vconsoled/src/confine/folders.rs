// SPDX-License-Identifier: MIT
//! The folders that the daemon writes to, created as root, and given to the
//! daemon's later user.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::unistd::{Gid, Uid};

use crate::config::Config;
use crate::service::lock;

/// The log folder, if anything is written to it.
pub(super) fn logs(config: &Config) -> Option<&Path> {
    config.logs().then_some(config.log.dir.as_path())
}

/// Folders that hold sockets directly.
pub(super) fn of_sockets(config: &Config) -> impl Iterator<Item = &Path> {
    let sockets = &config.sockets;
    let paths = [&sockets.control, &sockets.metrics];
    paths.into_iter().flatten().filter_map(|path| path.parent())
}

/// Folders for the daemon alone.
pub(super) fn own(config: &Config) -> impl Iterator<Item = &Path> {
    let folders = [&config.state_dir, &config.sockets.consoles];
    folders
        .into_iter()
        .flatten()
        .chain(&config.process.folders)
        .map(PathBuf::as_path)
        .chain(logs(config))
        .chain(config.audit.dir())
}

/// The groups that the user needs to reach the logs: Debian's /var/log/xen is for
/// root and adm. Never root's own group.
pub(super) fn groups_on_the_way(config: &Config, user: Uid) -> anyhow::Result<Vec<Gid>> {
    let mut groups = BTreeSet::new();
    let Some(logs) = logs(config) else {
        return Ok(Vec::new());
    };
    let real = fs::canonicalize(logs).with_context(|| format!("{}", logs.display()))?;
    for folder in logs.ancestors().chain(real.ancestors()) {
        let metadata = fs::metadata(folder).with_context(|| format!("{}", folder.display()))?;
        let may_pass = |shift: u32| metadata.mode() >> shift & 1 == 1;
        let by_group = may_pass(3) && !may_pass(0) && metadata.uid() != user.as_raw();
        if by_group && metadata.gid() != 0 {
            groups.insert(metadata.gid());
        }
    }
    Ok(groups.into_iter().map(Gid::from_raw).collect())
}

pub(super) fn make(config: &Config, owner: Option<Uid>) -> anyhow::Result<()> {
    let shared = of_sockets(config).map(|folder| (folder, 0o755));
    for (folder, mode) in shared.chain(own(config).map(|folder| (folder, 0o750))) {
        let made = make_one(folder, mode)?;
        // The operator may have moved logs to another disk.
        let moved = logs(config) == Some(folder);
        let real = if moved {
            fs::canonicalize(folder)?
        } else {
            folder.to_owned()
        };
        let Some(owner) = owner else { continue };
        if made || holds_only_ours(folder, config)? {
            give(&real, owner)?;
        } else if fs::metadata(folder)?.uid() == 0 {
            tracing::warn!(
                "the folder {} has other files and stays root's; user {owner} may have no \
                 way to write there: choose another, or give it to that user",
                folder.display()
            );
        }
    }
    let Some(owner) = owner else { return Ok(()) };
    if let Some(logs) = logs(config) {
        give_entries(logs, owner, is_log)?;
    }
    let folders = [&config.state_dir, &config.sockets.consoles];
    for folder in folders.into_iter().flatten() {
        give_entries(folder, owner, is_state)?;
    }
    if let Some(dir) = config.audit.dir() {
        give_entries(dir, owner, |name| is_audit(config, name))?;
    }
    // Lock files of a killed daemon with another user.
    for lock in locks(config).filter(|lock| lock.exists()) {
        give(&lock, owner)?;
    }
    Ok(())
}

/// The lock files of sockets that have their own paths.
fn locks(config: &Config) -> impl Iterator<Item = PathBuf> {
    let paths = [&config.sockets.control, &config.sockets.metrics];
    paths.into_iter().flatten().map(|path| lock::beside(path))
}

/// Whether a name is that of a log, of xenconsoled or of this daemon.
fn is_log(name: &[u8]) -> bool {
    name.starts_with(b"guest-") || name.starts_with(b"hypervisor.log")
}

/// Whether a name is that of the audit file or of a rotated one.
fn is_audit(config: &Config, name: &[u8]) -> bool {
    let file = config.audit.file.as_deref().and_then(Path::file_name);
    file.is_some_and(|file| name.starts_with(file.as_encoded_bytes()))
}

/// Whether a name is that of an output buffer or of a socket folder: those begin
/// with a domid.
fn is_state(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_digit)
        || [&b"hypervisor"[..], b"by-name", b".lock"].contains(&name)
}

/// Creates a folder and its parents; `false` if it existed.
fn make_one(folder: &Path, mode: u32) -> anyhow::Result<bool> {
    if folder.is_dir() {
        return Ok(false);
    }
    let parent = folder.parent();
    if let Some(parent) = parent.filter(|parent| *parent != Path::new("")) {
        make_one(parent, mode)?;
    }
    let create = || {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(mode).create(folder)?;
        // The umask of a background daemon would exclude other users.
        fs::set_permissions(folder, Permissions::from_mode(mode))
    };
    create().with_context(|| format!("making the folder {}", folder.display()))?;
    Ok(true)
}

/// Whether a folder contains only the daemon's files, unlike /run or /var/log.
fn holds_only_ours(folder: &Path, config: &Config) -> anyhow::Result<bool> {
    let sockets = &config.sockets;
    let paths = [
        &sockets.control,
        &sockets.metrics,
        &sockets.consoles,
        &config.state_dir,
    ];
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.as_encoded_bytes();
        let mut known = paths.into_iter().flatten().chain(&config.process.folders);
        let known = known.any(|one| *one == path) || locks(config).any(|one| one == path);
        if !known && !is_log(name) && !is_state(name) && !is_audit(config, name) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Changes the owner from root to `owner`; the group stays, for users who read
/// logs by it. A link is not followed: its target may have to stay root's.
fn give(path: &Path, owner: Uid) -> anyhow::Result<()> {
    let shown = path.display();
    let metadata = fs::symlink_metadata(path).with_context(|| format!("{shown}"))?;
    if metadata.uid() == 0 {
        lchown(path, Some(owner.as_raw()), None)
            .with_context(|| format!("giving {shown} to user {owner}"))?;
    }
    Ok(())
}

/// Changes the owner of files that xenconsoled or the daemon wrote as root.
fn give_entries(folder: &Path, owner: Uid, ours: impl Fn(&[u8]) -> bool) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // Another hard link of a file may be where it must stay root's.
        let alone = metadata.is_dir() || metadata.is_file() && metadata.nlink() == 1;
        if alone && ours(entry.file_name().as_encoded_bytes()) {
            give(&entry.path(), owner)?;
        }
    }
    Ok(())
}
