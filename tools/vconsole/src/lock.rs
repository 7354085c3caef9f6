// SPDX-License-Identifier: MIT
//! One client a console at a time: two readers of a pty would each get half.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, OFlags};

use crate::target::Target;

/// Where locks are (Xen `XEN_LOCK_DIR`).
const DIRECTORY: &str = "/run/lock";

/// Held while the console is ours.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    pub(crate) fn take(target: &Target) -> anyhow::Result<Self> {
        let directory = std::env::var_os("VCONSOLE_LOCK_DIR").unwrap_or(DIRECTORY.into());
        std::fs::create_dir_all(&directory)?;
        let name = format!("vconsole.{}.{}", target.domid, target.console());
        let path = Path::new(&directory).join(name);
        loop {
            let mut file = open(&path).with_context(|| format!("{}", path.display()))?;
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                let mut holder = String::new();
                // Who holds it is a courtesy.
                let _read = (&mut file).take(16).read_to_string(&mut holder);
                bail!("{target} is in use by process {}", holder.trim());
            }
            // Its last holder may have removed it before we had it.
            let (ours, theirs) = (file.metadata()?.ino(), std::fs::metadata(&path));
            if theirs.is_ok_and(|theirs| theirs.ino() == ours) {
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())?;
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
}
