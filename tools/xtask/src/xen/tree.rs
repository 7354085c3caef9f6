// SPDX-License-Identifier: MIT
//! The Xen trees that we build: copies of the fetched source, with our hooks and
//! without. An update of a tree writes only files that differ, so that make rebuilds
//! only what depends on them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Key, Steps, files, write};
use xen_hooks::{Changes, HookSet};

use super::version::Which;

/// A tree, ready to be built.
pub(crate) struct Tree {
    pub(crate) which: Which,
    pub(crate) path: PathBuf,
    /// The key of its source.
    source: String,
    changes: Changes,
}

/// The list, in a tree, of the files that differ from the source.
const CHANGED: &str = ".vpl011-changed";

impl Tree {
    /// Copies the source if missing and applies the hooks.
    pub(crate) fn prepare(steps: &Steps, source: &str, which: Which) -> Result<Self> {
        let pristine = steps.dirs.target.join(which.version.source());
        let path = steps.dirs.target.join("xen").join(which.tree());
        steps.run(
            &which.step("xen tree"),
            Key::default().text(source),
            &[&path],
            |cx| {
                files::remove(&path)?;
                cx.run(
                    Command::new("cp")
                        .args(["--archive", "--reflink=auto"])
                        .arg(&pristine)
                        .arg(&path),
                )?;
                Ok("copied from the source".into())
            },
        )?;
        let changes = if which.flavour.is_hooked() {
            let set = HookSet::for_tree(&steps.dirs.root.join("hyp-shim"), &pristine)?;
            match which.flavour.only_hooks() {
                Some(names) => set.only(names).plan(&pristine)?,
                None => set.plan(&pristine)?,
            }
        } else {
            Changes::new()
        };
        let tree = Self {
            which,
            path,
            source: source.to_owned(),
            changes,
        };
        if which.flavour.is_hooked() {
            steps.always(&which.step("xen hooks"), |_| {
                let written = tree.bring_up_to_date(&pristine)?;
                let said = match written {
                    0 => "unchanged".to_owned(),
                    written => {
                        format!("{written} of {} files written", tree.changes.len())
                    }
                };
                Ok(said)
            })?;
        }
        Ok(tree)
    }

    /// Makes the tree equal to source plus changes. Returns the files written.
    fn bring_up_to_date(&self, pristine: &Path) -> Result<usize> {
        let list = self.path.join(CHANGED);
        let before = fs::read_to_string(&list).unwrap_or_default();
        let now: BTreeSet<&Path> = self.changes.keys().map(PathBuf::as_path).collect();
        // The union, until all is written: the next run completes an interrupted one.
        let names = |paths: &BTreeSet<&Path>| {
            let lines: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            lines.join("\n")
        };
        let mut either = now.clone();
        either.extend(before.lines().map(Path::new));
        write(&list, names(&either))?;
        let mut written = 0;
        for path in either.difference(&now) {
            let (from, to) = (pristine.join(path), self.path.join(path));
            if from.exists() {
                // Not fs::copy alone: make needs a new time.
                fs::write(&to, fs::read(&from)?)?;
            } else if to.exists() {
                fs::remove_file(&to)?;
            }
            written += 1;
        }
        for (path, contents) in &self.changes {
            written += usize::from(update(&self.path.join(path), contents)?);
        }
        write(&list, names(&now))?;
        Ok(written)
    }

    /// The key of a build from the changed files that `part` selects.
    pub(crate) fn key(&self, part: impl Fn(&Path) -> bool) -> Key {
        self.changes.iter().filter(|(path, _)| part(path)).fold(
            Key::default().text(&self.source),
            |key, (path, contents)| key.text(path.as_os_str().as_encoded_bytes()).text(contents),
        )
    }
}

/// Writes a file if its contents differ. Returns whether it did.
pub(crate) fn update(path: &Path, contents: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|stands| stands == contents) {
        return Ok(false);
    }
    write(path, contents).with_context(|| format!("updating {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xen::Flavour;

    fn tree(path: &Path, changes: &[(&str, &str)]) -> Tree {
        Tree {
            which: Flavour::Ours.into(),
            path: path.to_owned(),
            source: "1".into(),
            changes: changes
                .iter()
                .map(|(p, text)| (p.into(), (*text).into()))
                .collect(),
        }
    }

    #[test]
    fn a_tree_follows_the_hooks_there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let (source, work) = (dir.path().join("src"), dir.path().join("4.17"));
        for folder in [&source, &work] {
            write(&folder.join("xen/a.c"), "a").unwrap();
        }
        let read = |path: &str| fs::read_to_string(work.join(path)).unwrap();

        let hooked = tree(&work, &[("xen/a.c", "a hooked"), ("xen/new/b.c", "b")]);
        assert_eq!(hooked.bring_up_to_date(&source).unwrap(), 2);
        assert_eq!(
            (read("xen/a.c"), read("xen/new/b.c")),
            ("a hooked".into(), "b".into())
        );
        assert_eq!(hooked.bring_up_to_date(&source).unwrap(), 0);

        // With one hook less, its file is the source's again, and ours is removed.
        assert_eq!(tree(&work, &[]).bring_up_to_date(&source).unwrap(), 2);
        assert_eq!(read("xen/a.c"), "a");
        assert!(!work.join("xen/new/b.c").exists());
    }

    #[test]
    fn a_part_is_rebuilt_only_for_its_own_changes() {
        let path = Path::new("4.17");
        let key = |changes: &[(&str, &str)]| {
            tree(path, changes)
                .key(|path| path.starts_with("tools"))
                .finish()
        };
        assert_eq!(key(&[("xen/a.c", "1")]), key(&[("xen/a.c", "2")]));
        assert_ne!(key(&[("tools/a.c", "1")]), key(&[("tools/a.c", "2")]));
    }
}
