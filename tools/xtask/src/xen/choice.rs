// SPDX-License-Identifier: MIT
//! The Xen to build, from a command's options: a version, whose source is Debian's, or
//! a tree of the user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Key, Steps, files};

use super::version::Version;

/// Which Xen to build.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Choice {
    /// The version of Xen
    #[arg(long, value_name = "VERSION", default_value = "4.17")]
    xen: Version,
    /// A Xen tree of your own instead, of a version that there are hooks for;
    /// it is copied, not changed
    #[arg(long, value_name = "DIR", conflicts_with = "xen")]
    tree: Option<PathBuf>,
}

impl Choice {
    /// Whether it is the user's tree.
    pub(crate) fn is_given(&self) -> bool {
        self.tree.is_some()
    }

    /// The version to build; a given tree's source is put in place.
    pub(crate) fn version(&self, steps: &Steps) -> Result<Version> {
        let Some(given) = &self.tree else {
            return Ok(self.xen);
        };
        let copy = steps.dirs.target.join(Version::Given.source());
        let key = listing(given)?;
        steps.run(&Version::Given.step("xen source"), key, &[&copy], |cx| {
            files::empty(&copy)?;
            let mut copying = Command::new("cp");
            copying.args(["--archive", "--reflink=auto"]);
            copying.args(entries(given)?).arg(&copy);
            cx.run(&mut copying)?;
            Ok(format!("copied from {}", given.display()))
        })?;
        Ok(Version::Given)
    }
}

/// The key of a tree's present state: its files with their lengths and times.
pub(super) fn listing(tree: &Path) -> Result<Key> {
    let mut key = Key::default();
    let mut left = entries(tree)?;
    while let Some(path) = left.pop() {
        let about = fs::symlink_metadata(&path)?;
        if about.is_dir() {
            left.extend(entries(&path)?);
        } else {
            let name = path.strip_prefix(tree)?.as_os_str();
            key = key.text(name.as_encoded_bytes()).text(format!(
                "{} {} {}",
                about.len(),
                about.mtime(),
                about.mtime_nsec()
            ));
        }
    }
    Ok(key)
}

/// The entries of a folder, in a fixed order, without git's own.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    let mut found = read().with_context(|| format!("reading {}", folder.display()))?;
    found.retain(|path| path.file_name().is_some_and(|name| name != ".git"));
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_tree_is_another_and_a_copied_one_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, copy) = (dir.path().join("tree"), dir.path().join("copy"));
        fs::create_dir_all(tree.join("xen")).unwrap();
        fs::create_dir_all(tree.join(".git")).unwrap();
        fs::write(tree.join("xen/a.c"), "a").unwrap();
        let key = |tree: &Path| listing(tree).unwrap().finish();
        let before = key(&tree);
        fs::write(tree.join(".git/index"), "changed").unwrap();
        assert_eq!(key(&tree), before);
        let copied = Command::new("cp")
            .arg("--archive")
            .args([&tree, &copy])
            .status();
        assert!(copied.unwrap().success());
        assert_eq!(key(&copy), before);
        fs::write(tree.join("xen/a.c"), "longer").unwrap();
        assert_ne!(key(&tree), before);
        fs::remove_file(tree.join("xen/a.c")).unwrap();
        assert_ne!(key(&tree), before);
    }
}
