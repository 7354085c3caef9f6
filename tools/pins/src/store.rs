// SPDX-License-Identifier: MIT
//! The store: one file for each digest, outside the workspace, so that it outlives
//! `target/` and is shared by all clones. Files are added by a rename and verified at
//! each use, so simultaneous runs may share it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempDir};

use crate::lock::Pin;

/// Environment variable with the store's folder.
const VARIABLE: &str = "VPL011_STORE";

/// A folder with files named by their digests.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// The store's entry for a pin.
pub(crate) enum Held {
    File(PathBuf),
    Nothing,
    /// A file with other contents, to be replaced by the right one.
    Damaged,
}

impl Store {
    /// The user's store: `$VPL011_STORE`, or in the cache folder.
    pub fn of_user() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = set(VARIABLE)
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(set("XDG_CACHE_HOME")?).join("vpl011/store")))
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache/vpl011/store")))
            .with_context(|| format!("no place for fetched files: set {VARIABLE}"))?;
        Self::at(folder)
    }

    /// The store in a folder, which is created if missing.
    pub fn at(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)
            .with_context(|| format!("making {} ({VARIABLE} moves it)", folder.display()))?;
        Ok(Self { folder })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks a pin up and verifies the contents.
    pub(crate) fn get(&self, pin: &Pin) -> Result<Held> {
        let path = self.folder.join(&pin.sha256);
        if !path.exists() {
            return Ok(Held::Nothing);
        }
        Ok(if holds(&path, pin)? {
            Held::File(path)
        } else {
            Held::Damaged
        })
    }

    /// A folder to download to, on the store's file system.
    pub(crate) fn incoming(&self) -> Result<TempDir> {
        TempDir::with_prefix_in(".incoming-", &self.folder)
            .with_context(|| format!("writing to {}", self.folder.display()))
    }

    /// Adds a verified file by copying it.
    pub(crate) fn copy(&self, pin: &Pin, from: &Path) -> Result<PathBuf> {
        let mut file = NamedTempFile::new_in(&self.folder)?;
        std::io::copy(&mut File::open(from)?, &mut file)?;
        let path = self.folder.join(&pin.sha256);
        file.persist(&path)?;
        Ok(path)
    }

    /// Adds a verified file of [`incoming`](Self::incoming) by moving it.
    pub(crate) fn accept(&self, pin: &Pin, from: &Path) -> Result<PathBuf> {
        let path = self.folder.join(&pin.sha256);
        fs::rename(from, &path)?;
        Ok(path)
    }
}

/// Whether a file's contents match a pin.
pub(crate) fn holds(file: &Path, pin: &Pin) -> Result<bool> {
    let read = || anyhow::Ok((fs::metadata(file)?.len(), digest(file)?));
    let (size, digest) = read().with_context(|| format!("reading {}", file.display()))?;
    Ok(size == pin.size && digest == pin.sha256)
}

/// A file's SHA-256, in hexadecimal.
fn digest(file: &Path) -> Result<String> {
    let mut file = File::open(file)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => sha.update(&buffer[..length]),
        }
    }
    Ok(sha.finalize().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes any text");
        hex
    }))
}
