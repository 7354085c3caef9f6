// SPDX-License-Identifier: MIT
//! An initramfs: a cpio archive in "newc" form, uncompressed, because the emulated
//! machine's slow CPU unpacks it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use steps::files::list;

/// Part of the key of every image, as an image's contents depend on it.
pub(super) const TEXT: &str = include_str!("archive.rs");

/// The entry at a path of the archive.
enum Entry {
    Folder,
    File {
        mode: u32,
        contents: Vec<u8>,
    },
    Link(String),
    /// A character device.
    Device {
        major: u32,
        minor: u32,
    },
}

/// An archive under construction; paths are absolute.
#[derive(Default)]
pub(crate) struct Archive {
    entries: BTreeMap<String, Entry>,
    /// Whether [`MERGED`] are links.
    merged: bool,
}

/// Folders that a current system has under /usr.
const MERGED: [&str; 3] = ["/bin", "/lib", "/sbin"];

impl Archive {
    /// An archive with the folders of every system, and the device that the kernel
    /// opens for init.
    pub(crate) fn new() -> Self {
        let mut archive = Self::default();
        for folder in [
            "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp", "/var/log",
        ] {
            archive.folder(folder);
        }
        archive.add("/dev/console", Entry::Device { major: 5, minor: 1 });
        archive
    }

    /// The same for a system with all programs and libraries under /usr.
    pub(crate) fn merged() -> Self {
        let mut archive = Self::new();
        for folder in MERGED {
            archive.folder(&format!("/usr{folder}"));
            archive.link(folder, &format!("usr{folder}"));
        }
        archive.merged = true;
        archive
    }

    /// The real place of a path's entry.
    fn place(&self, path: &str) -> String {
        let moved = |folder: &str| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if self.merged && MERGED.into_iter().any(moved) {
            format!("/usr{path}")
        } else {
            path.to_owned()
        }
    }

    /// Adds a folder and those above it.
    pub(crate) fn folder(&mut self, path: &str) {
        let path = &self.place(path);
        let mut at = 0;
        while let Some(slash) = path[at + 1..].find('/') {
            at += 1 + slash;
            self.entries
                .entry(path[..at].to_owned())
                .or_insert(Entry::Folder);
        }
        self.entries.entry(path.to_owned()).or_insert(Entry::Folder);
    }

    /// Adds a text file that is not executable.
    pub(crate) fn text(&mut self, path: &str, contents: &str) {
        self.put(path, 0o644, contents.into());
    }

    /// Adds an executable text file.
    pub(crate) fn script(&mut self, path: &str, contents: &str) {
        self.put(path, 0o755, contents.into());
    }

    /// Adds a copy of a file of this machine, executable.
    pub(crate) fn file(&mut self, path: &str, from: &Path) -> Result<()> {
        let contents = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.put(path, 0o755, contents);
        Ok(())
    }

    /// Adds everything below a folder of this machine, unchanged.
    pub(crate) fn tree(&mut self, from: &Path) -> Result<()> {
        self.some_of(from, |_| true)
    }

    /// Adds those files below a folder of this machine that are `wanted`, by their path
    /// in the archive.
    pub(crate) fn some_of(&mut self, from: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for file in list(from)? {
            let path = Path::new("/").join(file.strip_prefix(from)?);
            let path = path.to_str().context("a path that is no text")?;
            if !wanted(path) {
                continue;
            }
            let metadata = fs::symlink_metadata(&file)?;
            if metadata.is_symlink() {
                let to = fs::read_link(&file)?;
                self.link(path, to.to_str().context("a link that is no text")?);
            } else {
                let mode = metadata.permissions().mode() & 0o777;
                self.put(path, mode, fs::read(&file)?);
            }
        }
        Ok(())
    }

    /// Adds a symbolic link, unless it would lead to itself.
    pub(crate) fn link(&mut self, path: &str, to: &str) {
        if self.place(path) != to {
            self.add(path, Entry::Link(to.to_owned()));
        }
    }

    /// The programs and libraries in the archive, to read their needs.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::File { contents, .. } => Some(contents.as_slice()),
            _ => None,
        })
    }

    /// Writes the archive. Returns its size in bytes.
    pub(crate) fn write(self, to: &Path) -> Result<u64> {
        self.write_into(File::create(to)?)?;
        Ok(fs::metadata(to)?.len())
    }

    /// Writes it behind another one, over which Linux unpacks it. Returns its own size
    /// in bytes.
    pub(crate) fn write_after(self, first: &Path, to: &Path) -> Result<u64> {
        let before = fs::copy(first, to)?;
        self.write_into(File::options().append(true).open(to)?)?;
        Ok(fs::metadata(to)?.len() - before)
    }

    fn write_into(self, file: File) -> Result<()> {
        let mut out = BufWriter::new(file);
        for (number, (path, entry)) in (1..).zip(self.entries) {
            let (mode, contents, device) = match entry {
                Entry::Folder => (0o040_755, Vec::new(), (0, 0)),
                Entry::File { mode, contents } => (0o100_000 | mode, contents, (0, 0)),
                Entry::Link(to) => (0o120_777, to.into_bytes(), (0, 0)),
                Entry::Device { major, minor } => (0o020_600, Vec::new(), (major, minor)),
            };
            let mut writer = cpio::newc::Builder::new(path.trim_start_matches('/'))
                .ino(number)
                .mode(mode)
                .rdev_major(device.0)
                .rdev_minor(device.1)
                .write(out, u32::try_from(contents.len())?);
            writer.write_all(&contents)?;
            out = writer.finish()?;
        }
        cpio::newc::trailer(out)?.flush()?;
        Ok(())
    }

    fn put(&mut self, path: &str, mode: u32, contents: Vec<u8>) {
        self.add(path, Entry::File { mode, contents });
    }

    fn add(&mut self, path: &str, entry: Entry) {
        let path = &self.place(path);
        if let Some((folder, _)) = path.rsplit_once('/')
            && !folder.is_empty()
        {
            self.folder(folder);
        }
        self.entries.insert(path.to_owned(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_programs_are_under_usr_where_folders_are_merged() {
        let mut archive = Archive::merged();
        archive.script("/bin/x", "");
        archive.text("/library", "");
        archive.link("/lib/y", "/usr/lib/y");
        assert!(archive.entries.contains_key("/usr/bin/x"));
        assert!(archive.entries.contains_key("/library"));
        assert!(matches!(archive.entries["/bin"], Entry::Link(_)));
        assert!(
            !archive.entries.contains_key("/usr/lib/y"),
            "a link to itself"
        );
    }

    #[test]
    fn an_archive_holds_the_folders_above_each_file_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.cpio");
        let mut archive = Archive::default();
        archive.script("/usr/bin/x", "#!/bin/sh\n");
        archive.link("/sbin/x", "/usr/bin/x");
        archive.write(&path).unwrap();
        let mut names = Vec::new();
        let mut file = File::open(&path).unwrap();
        loop {
            let reader = cpio::newc::Reader::new(file).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                break;
            }
            names.push((entry.name().to_owned(), entry.mode()));
            file = reader.finish().unwrap();
        }
        assert_eq!(
            names,
            [
                ("sbin".to_owned(), 0o040_755),
                ("sbin/x".to_owned(), 0o120_777),
                ("usr".to_owned(), 0o040_755),
                ("usr/bin".to_owned(), 0o040_755),
                ("usr/bin/x".to_owned(), 0o100_755),
            ]
        );
    }
}
