// SPDX-License-Identifier: MIT
//! The directory where output buffers outlive the daemon: a file for each
//! console, named `DOMID-SLOT`, for the lifetime of the domain.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use xen_io::DomId;

use crate::buffer::{OutputBuffer, Record};
use crate::guest::nodes::Slot;

/// Version of the files' format.
const FORMAT: u32 = 1;

/// Identifies this boot of the host.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The place of output buffers.
pub(crate) struct StateDir {
    /// `None`: in memory.
    dir: Option<PathBuf>,
    /// Prefix of each file's owner: files of another boot of the host, with other
    /// domains of the same numbers, are not used.
    boot: String,
}

impl StateDir {
    /// State in `dir`, which is created if missing. Without it, or if it cannot
    /// be used, output ends with the daemon.
    pub(crate) fn new(dir: Option<PathBuf>) -> Self {
        let dir = dir.filter(|dir| {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            if let Err(error) = &made {
                tracing::warn!("{}: {error}; a restart loses history", dir.display());
            }
            made.is_ok()
        });
        let boot = std::fs::read_to_string(BOOT_ID).inspect_err(|error| {
            tracing::warn!("{BOOT_ID}: {error}; a restart loses history");
        });
        Self {
            dir: dir.filter(|_| boot.is_ok()),
            boot: format!("vconsoled {FORMAT} {} ", boot.unwrap_or_default().trim()),
        }
    }

    /// The output of a console, which continues that of the last daemon, if there
    /// is one. `instance` distinguishes domains that had the same number.
    /// `scrollback` is how much is kept for later viewers.
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
        self.open_file(&path, &format!("{slot} {instance}"), scrollback)
    }

    /// The output of the hypervisor's own messages.
    pub(crate) fn open_hypervisor(&self) -> io::Result<OutputBuffer> {
        match &self.dir {
            Some(dir) => self.open_file(&dir.join("hypervisor"), "", 0),
            None => OutputBuffer::in_memory(0),
        }
    }

    /// Removes the file of a console that is gone for good.
    pub(crate) fn remove(&self, domid: DomId, slot: Slot) {
        if let Some(path) = self.path(domid, slot) {
            // It may not exist.
            let _gone = std::fs::remove_file(path);
        }
    }

    /// Files of domains for which `lives` is false.
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

    /// The file of a console's output, if it outlives the daemon.
    pub(crate) fn path(&self, domid: DomId, slot: Slot) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(format!("{domid}-{slot}")))
    }

    /// The output that a daemon left in a file, of any console; `None` if it is
    /// invalid, or from another boot.
    pub(crate) fn adopt(&self, path: &Path) -> Option<OutputBuffer> {
        let output = OutputBuffer::adopt(path)?;
        let owner = output.record(Record::Owner)?;
        owner.starts_with(self.boot.as_bytes()).then_some(output)
    }

    fn open_file(&self, path: &Path, owner: &str, scrollback: u64) -> io::Result<OutputBuffer> {
        let owner = format!("{}{owner}", self.boot);
        OutputBuffer::open(path, &owner, scrollback).or_else(|error| {
            tracing::warn!("{}: {error}; a restart loses history", path.display());
            OutputBuffer::in_memory(scrollback)
        })
    }
}
