// SPDX-License-Identifier: MIT
//! The directory where output buffers outlive the daemon: a file for each console,
//! named `DOMID-SLOT`, as long as the domain is there.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use xen_io::DomId;

use crate::buffer::OutputBuffer;
use crate::guest::nodes::Slot;

/// Version of what is in the files.
const FORMAT: u32 = 1;

/// Where output buffers are kept.
pub(crate) struct StateDir {
    /// None: in memory.
    dir: Option<PathBuf>,
}

impl StateDir {
    /// Histories in `dir`, which is made if it is missing. Without it, or if
    /// it cannot be, they end with the daemon.
    pub(crate) fn new(dir: Option<PathBuf>) -> Self {
        let dir = dir.filter(|dir| {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            if let Err(error) = &made {
                tracing::warn!("{}: {error}; a restart loses history", dir.display());
            }
            made.is_ok()
        });
        Self { dir }
    }

    /// The output of a console, which goes on where it ended if the last
    /// daemon left one. `instance` tells the domain from another one that had
    /// the same number. `scrollback` is how much is kept for viewers to come.
    pub(crate) fn open(
        &self,
        domid: DomId,
        slot: Slot,
        instance: &str,
        scrollback: u64,
    ) -> io::Result<OutputBuffer> {
        let Some(path) = self.path(domid, slot) else {
            return OutputBuffer::in_memory(scrollback);
        };
        open(&path, &format!("{slot} {instance}"), scrollback)
    }

    /// The output of the hypervisor's own messages, since `boot`.
    pub(crate) fn open_hypervisor(&self, boot: &str) -> io::Result<OutputBuffer> {
        match &self.dir {
            Some(dir) => open(&dir.join("hypervisor"), boot, 0),
            None => OutputBuffer::in_memory(0),
        }
    }

    /// Forgets a console that is gone for good.
    pub(crate) fn remove(&self, domid: DomId, slot: Slot) {
        if let Some(path) = self.path(domid, slot) {
            // One that was never there is gone as well.
            let _gone = std::fs::remove_file(path);
        }
    }

    /// Files of domains that `lives` does not know.
    pub(crate) fn orphans(&self, lives: impl Fn(DomId) -> bool) -> Vec<PathBuf> {
        let Some(Ok(entries)) = self.dir.as_ref().map(std::fs::read_dir) else {
            return Vec::new();
        };
        let is_orphan = |name: &OsStr| {
            let domid = name.to_str()?.split_once('-')?.0.parse().ok()?;
            Some(!lives(DomId(domid)))
        };
        entries
            .flatten()
            .filter(|entry| is_orphan(&entry.file_name()).unwrap_or(false))
            .map(|entry| entry.path())
            .collect()
    }

    /// Where a console's output is, if it outlives the daemon.
    pub(crate) fn path(&self, domid: DomId, slot: Slot) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(format!("{domid}-{slot}")))
    }
}

fn open(path: &Path, owner: &str, scrollback: u64) -> io::Result<OutputBuffer> {
    let owner = format!("vconsoled {FORMAT} {owner}");
    OutputBuffer::open(path, &owner, scrollback).or_else(|error| {
        tracing::warn!("{}: {error}; a restart loses history", path.display());
        OutputBuffer::in_memory(scrollback)
    })
}
