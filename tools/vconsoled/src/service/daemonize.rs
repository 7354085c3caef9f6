// SPDX-License-Identifier: MIT
//! Starts the daemon in the background, without fork(2): the program starts
//! itself again as a foreground daemon in its own session, and ends when that one
//! serves or fails.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags};

use super::lock::lock;

/// Marks the second process.
const DETACHED: &str = "VCONSOLED_DETACHED";
const READY: u8 = b'R';

/// Starts the daemon and waits until it serves.
pub fn spawn() -> anyhow::Result<()> {
    let mut child = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .arg("--interactive")
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut word = [0];
    let answered = match &mut child.stdout {
        Some(stdout) => stdout.read(&mut word)? == 1,
        None => false,
    };
    if answered && word[0] == READY {
        return Ok(());
    }
    // Its error is on standard error.
    bail!("the daemon ended: {}", child.wait()?)
}

/// The background process, until it serves.
pub struct Detached {
    /// A pipe to the starter.
    starter: io::Stdout,
}

/// Leaves the starter's session, if there is a starter.
pub fn begin() -> anyhow::Result<Option<Detached>> {
    if env::var_os(DETACHED).is_none() {
        return Ok(None);
    }
    rustix::process::setsid().context("a session of its own")?;
    rustix::process::umask(Mode::WGRP | Mode::RWXO);
    env::set_current_dir("/")?;
    Ok(Some(Detached {
        starter: io::stdout(),
    }))
}

impl Detached {
    /// Releases the starter and the terminal.
    pub fn ready(mut self) {
        // The starter may be gone.
        let _told = self
            .starter
            .write_all(&[READY])
            .and_then(|()| self.starter.flush());
        let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") else {
            return;
        };
        for redirected in [
            rustix::stdio::dup2_stdout(&null),
            rustix::stdio::dup2_stderr(&null),
        ] {
            if let Err(error) = redirected {
                tracing::warn!("the terminal cannot be closed: {error}");
            }
        }
    }
}

/// A file with the process number, locked while the process runs and removed at
/// an orderly end.
pub struct PidFile {
    path: PathBuf,
    locked: File,
}

impl PidFile {
    /// Writes it; an error names its holder.
    pub fn write(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("{shown}"))?;
        }
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(flags)
            .open(path)
            .with_context(|| format!("{shown}"))?;
        lock(&file).with_context(|| format!("{shown}"))?;
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self {
            path: path.to_owned(),
            locked: file,
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if std::fs::remove_file(&self.path).is_err() {
            // The folder is root's, and this process is not root any more.
            let _emptied = self.locked.set_len(0);
        }
    }
}
