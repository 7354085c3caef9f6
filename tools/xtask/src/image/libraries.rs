// SPDX-License-Identifier: MIT
//! The shared libraries that an image's programs need, and no others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use goblin::elf::Elf;

use super::archive::Archive;

/// Part of the key of every image, as an image's contents depend on it.
pub(super) const TEXT: &str = include_str!("libraries.rs");

/// The folder in which the image's loader looks.
const FOLDER: &str = "/usr/lib/aarch64-linux-gnu";

/// The C library loads this when a thread is cancelled, as libxl's are.
const LOADED_LATE: &str = "libgcc_s.so.1";

/// Adds to `archive` each library that something in it needs, from the first of
/// `folders` with it, and the loader.
pub(crate) fn add(archive: &mut Archive, folders: &[PathBuf]) -> Result<()> {
    archive.link("/lib/aarch64-linux-gnu", FOLDER);
    let mut there = BTreeSet::new();
    loop {
        let mut missing = BTreeSet::from([LOADED_LATE.to_owned()]);
        for contents in archive
            .contents()
            .filter(|contents| contents.starts_with(b"\x7fELF"))
        {
            missing.extend(needs(contents)?);
        }
        missing.retain(|need| !there.contains(need));
        if missing.is_empty() {
            return Ok(());
        }
        for need in missing {
            let name = Path::new(&need)
                .file_name()
                .context("a library without a name")?;
            let from = folders
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| path.exists())
                .with_context(|| format!("no {need} among the packages of the image"))?;
            if need.starts_with('/') {
                archive.file(&need, &from)?;
            } else {
                archive.file(&format!("{FOLDER}/{need}"), &from)?;
            }
            there.insert(need);
        }
    }
}

/// The libraries by name, and the loader by its path. Kernel modules and
/// static programs need nothing.
fn needs(contents: &[u8]) -> Result<Vec<String>> {
    let elf = Elf::parse(contents)?;
    let libraries = elf
        .libraries
        .into_iter()
        .filter(|name| !name.starts_with("ld-linux"));
    Ok(libraries
        .chain(elf.interpreter)
        .map(str::to_owned)
        .collect())
}
