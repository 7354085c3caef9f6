// SPDX-License-Identifier: MIT
//! The folders that the daemon writes to, made while it may, and given to the
//! user that it becomes.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nix::unistd::Uid;

use crate::config::Config;

/// Whether anything is written to the folder for logs.
pub(super) fn logs(config: &Config) -> Option<&Path> {
    let log = &config.log;
    let some =
        log.guests || log.hypervisor || config.rules.iter().any(|rule| rule.log == Some(true));
    some.then_some(log.dir.as_path())
}

/// Folders that hold sockets directly.
pub(super) fn of_sockets(config: &Config) -> impl Iterator<Item = &Path> {
    let sockets = &config.sockets;
    let paths = [&sockets.control, &sockets.metrics];
    paths.into_iter().flatten().filter_map(|path| path.parent())
}

/// Folders that are the daemon's alone.
pub(super) fn own(config: &Config) -> impl Iterator<Item = &Path> {
    let folders = [&config.state_dir, &config.sockets.consoles];
    folders
        .into_iter()
        .flatten()
        .chain(&config.process.folders)
        .map(PathBuf::as_path)
        .chain(logs(config))
}

pub(super) fn make(config: &Config, owner: Option<Uid>) -> anyhow::Result<()> {
    for folder in of_sockets(config) {
        let made = make_one(folder, 0o755)?;
        if let Some(owner) = owner
            && (made || holds_only_ours(folder, config))
        {
            give(folder, owner)?;
        }
    }
    for folder in own(config) {
        make_one(folder, 0o750)?;
        if let Some(owner) = owner {
            give(folder, owner)?;
        }
    }
    let Some(owner) = owner else { return Ok(()) };
    if let Some(logs) = logs(config) {
        let ours = |name: &[u8]| name.starts_with(b"guest-") || name.starts_with(b"hypervisor.log");
        give_files(logs, owner, ours)?;
    }
    if let Some(state) = &config.state_dir {
        give_files(state, owner, |_| true)?;
    }
    if let Some(consoles) = &config.sockets.consoles {
        for entry in fs::read_dir(consoles)?.flatten() {
            if entry.file_type()?.is_dir() {
                give(&entry.path(), owner)?;
            }
        }
    }
    Ok(())
}

/// Whether it was not there.
fn make_one(folder: &Path, mode: u32) -> anyhow::Result<bool> {
    if folder.is_dir() {
        return Ok(false);
    }
    let mut builder = DirBuilder::new();
    let created = builder.recursive(true).mode(mode).create(folder);
    created.with_context(|| format!("making the folder {}", folder.display()))?;
    Ok(true)
}

/// Whether a folder is there for our sockets, and is no /run.
fn holds_only_ours(folder: &Path, config: &Config) -> bool {
    let sockets = &config.sockets;
    let ours = [
        &sockets.control,
        &sockets.metrics,
        &sockets.consoles,
        &config.state_dir,
    ];
    let Ok(mut entries) = fs::read_dir(folder) else {
        return false;
    };
    entries.all(|entry| {
        entry.is_ok_and(|entry| {
            let path = entry.path();
            let known = ours.into_iter().flatten().chain(&config.process.folders);
            known.into_iter().any(|one| *one == path)
        })
    })
}

/// Gives away what is root's; the group stays, for those who read logs by it.
fn give(path: &Path, owner: Uid) -> anyhow::Result<()> {
    let shown = path.display();
    let metadata = fs::symlink_metadata(path).with_context(|| format!("{shown}"))?;
    if metadata.uid() == 0 {
        lchown(path, Some(owner.as_raw()), None)
            .with_context(|| format!("giving {shown} to user {owner}"))?;
    }
    Ok(())
}

/// Gives away files that xenconsoled wrote, or we did before we had a user.
fn give_files(folder: &Path, owner: Uid, ours: impl Fn(&[u8]) -> bool) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        // Another name of a file may lie where it must stay root's.
        let file = metadata.is_file() && metadata.nlink() == 1;
        if file && ours(entry.file_name().as_encoded_bytes()) {
            give(&entry.path(), owner)?;
        }
    }
    Ok(())
}
