// SPDX-License-Identifier: MIT
//! Hooks: how our change is applied to a Xen tree.
//!
//! A set of hooks is the TOML files of `hyp-shim/hooks/common/`, for every version, and
//! of `hyp-shim/hooks/xen-VERSION/`, for that version (or, for another tree than Xen's,
//! those of any folder). A vendor's tree has `hyp-shim/hooks/xen-VERSION-VENDOR/` in
//! addition: its expectations identify the tree, and it may leave hooks out (`without`)
//! or replace them (`instead`). `[[copy]]` puts a file of ours into the tree;
//! `[[hook]]` inserts lines of ours before or after an anchor, or in its place. The
//! anchor must match exactly once, so that another Xen fails with the name of a hook
//! instead of building something else; so must the conditions of the preprocessor
//! around it, which a hook lists as `within`. `[[expect]]` lists what else the copied
//! files rely on. The whole set is checked before the first byte is written.

mod conditions;
mod hook;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use self::hook::Hook;
pub use self::version::known_versions;
use self::version::tree_version;

/// One TOML file of a set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Hooks of the folders before that do not apply to this tree.
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    hook: Vec<Hook>,
    #[serde(default)]
    copy: Vec<Copy>,
    #[serde(default)]
    expect: Vec<Expect>,
}

/// A condition on the tree that the set does not change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Names the expectation in errors.
    name: String,
    /// Whether it distinguishes a vendor's tree from others of its version.
    #[serde(default)]
    tells: bool,
    /// Path in the Xen tree.
    file: PathBuf,
    /// Text that the file contains, or that it must not.
    has: Option<String>,
    lacks: Option<String>,
    /// What is wrong otherwise, for developers who port the set.
    because: String,
}

/// A file of ours that is copied into the tree.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    /// Path under `hyp-shim/`.
    from: PathBuf,
    /// Path in the Xen tree.
    to: PathBuf,
    /// Replaces a file of the folders before.
    #[serde(default)]
    instead: bool,
}

/// A checked set of hooks for one version of a tree.
#[derive(Debug)]
pub struct HookSet {
    version: String,
    /// The folder that copies are relative to.
    from: PathBuf,
    hooks: Vec<Hook>,
    copies: Vec<Copy>,
    expectations: Vec<Expect>,
}

/// The changes to a tree: path in the tree and new contents.
pub type Changes = BTreeMap<PathBuf, Vec<u8>>;

impl HookSet {
    /// Reads the set for the tree at `tree` from `shim` (the folder `hyp-shim`): the
    /// vendor's, if it is a vendor's tree, else that of its version.
    pub fn for_tree(shim: &Path, tree: &Path) -> Result<Self> {
        let version = tree_version(tree)?;
        let known = known_versions(shim)?;
        let vendors = format!("{version}-");
        for name in known.iter().filter(|name| name.starts_with(&vendors)) {
            let set = Self::for_version(shim, name.clone())?;
            if set.is_of(tree) {
                return Ok(set);
            }
        }
        ensure!(
            known.contains(&version),
            "{} is Xen {version}; there are hooks for: {}",
            tree.display(),
            known.join(", ")
        );
        Self::for_version(shim, version)
    }

    /// Reads the set for a version (`4.17`), or for a vendor's tree of one
    /// (`4.17-amd`), which consists of that version's and the vendor's own.
    pub fn for_version(shim: &Path, version: String) -> Result<Self> {
        let hooks = shim.join("hooks");
        let folder = |name: &str| hooks.join(format!("xen-{name}"));
        let mut folders = vec![hooks.join("common")];
        folders.extend(version.split_once('-').map(|(of, _)| folder(of)));
        folders.push(folder(&version));
        Self::read(&folders, version, shim)
    }

    /// Whether a tree meets the expectations that identify a vendor's.
    fn is_of(&self, tree: &Path) -> bool {
        let mut tell = self.expectations.iter().filter(|one| one.tells).peekable();
        tell.peek().is_some() && tell.all(|one| one.check(tree).is_ok())
    }

    /// Reads the set in these folders, for a tree of that version, with copies from
    /// below `from`.
    pub fn read(folders: &[impl AsRef<Path>], version: String, from: &Path) -> Result<Self> {
        let mut set = Self {
            version,
            from: from.to_owned(),
            hooks: Vec::new(),
            copies: Vec::new(),
            expectations: Vec::new(),
        };
        let mut paths = Vec::new();
        for folder in folders {
            let folder = folder.as_ref();
            let entries =
                fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
            for entry in entries {
                paths.push(entry?.path());
            }
        }
        paths.sort();
        for path in paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        {
            let text = fs::read_to_string(path)?;
            let mut file: File =
                toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
            let group = path.file_stem().unwrap_or_default().to_string_lossy();
            for hook in &mut file.hook {
                hook.group = group.clone().into_owned();
            }
            set.add(file)
                .with_context(|| format!("reading {}", path.display()))?;
        }
        let mut names = BTreeSet::new();
        for hook in &set.hooks {
            ensure!(
                names.insert(&hook.name),
                "two hooks are named `{}`",
                hook.name
            );
        }
        Ok(set)
    }

    /// Adds a file: its `without` and `instead` remove or replace hooks of the files
    /// before.
    fn add(&mut self, file: File) -> Result<()> {
        for name in &file.without {
            let before = self.hooks.len();
            self.hooks.retain(|hook| hook.name != *name);
            ensure!(self.hooks.len() < before, "without: no hook `{name}`");
        }
        for hook in file.hook {
            if hook.instead {
                let older = self.hooks.iter_mut().find(|older| older.name == hook.name);
                let older = older.with_context(|| format!("instead: no hook `{}`", hook.name))?;
                *older = hook;
            } else {
                self.hooks.push(hook);
            }
        }
        for copy in file.copy {
            if copy.instead {
                let older = self.copies.iter_mut().find(|older| older.to == copy.to);
                let to = copy.to.display().to_string();
                *older.with_context(|| format!("instead: no copy to {to}"))? = copy;
            } else {
                self.copies.push(copy);
            }
        }
        self.expectations.extend(file.expect);
        Ok(())
    }

    /// Some hooks of the set, and blank lines for all others, so that every line of the
    /// tree keeps the number that it has with all hooks.
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        let kept = |hook: &Hook| names.contains(&hook.name.as_str());
        // Files without an extension, as of Kconfig and make, have no line numbers in
        // objects.
        self.hooks
            .retain(|hook| kept(hook) || hook.file.extension().is_some());
        for hook in self.hooks.iter_mut().filter(|hook| !kept(hook)) {
            hook.blank();
        }
        self.copies.clear();
        self
    }

    /// The version (`4.17`) the set is for.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name and the file of each hook.
    pub fn hooks(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.hooks
            .iter()
            .map(|hook| (hook.name.as_str(), hook.file.as_path()))
    }

    /// Computes every change to `tree` without writing any.
    pub fn plan(&self, tree: &Path) -> Result<Changes> {
        self.plan_without(tree, &[])
    }

    /// The same without the hooks of some files of the set.
    pub(crate) fn plan_without(&self, tree: &Path, groups: &[&str]) -> Result<Changes> {
        for expectation in &self.expectations {
            expectation.check(tree)?;
        }
        let mut changes = Changes::new();
        for copy in &self.copies {
            let from = self.from.join(&copy.from);
            let contents =
                fs::read(&from).with_context(|| format!("reading {}", from.display()))?;
            let stands = tree.join(&copy.to);
            ensure!(
                !stands.exists(),
                "{} exists already: the hooks were applied to this tree before. Use \
                 a tree without them",
                stands.display()
            );
            changes.insert(copy.to.clone(), contents);
        }
        let chosen = |hook: &&Hook| !groups.contains(&hook.group.as_str());
        for hook in self.hooks.iter().filter(chosen) {
            let text = match changes.get(&hook.file) {
                Some(contents) => String::from_utf8(contents.clone())?,
                None => fs::read_to_string(tree.join(&hook.file)).map_err(|error| {
                    anyhow!(
                        "hook `{}`: cannot read {}: {error}",
                        hook.name,
                        hook.file.display()
                    )
                })?,
            };
            let text = hook
                .apply_to(&text)
                .with_context(|| format!("hook `{}`", hook.name))?;
            changes.insert(hook.file.clone(), text.into_bytes());
        }
        Ok(changes)
    }

    /// Applies the set to `tree`, or changes nothing and returns why. Returns the
    /// number of hooks and of copied files.
    pub fn apply(&self, tree: &Path) -> Result<(usize, usize)> {
        for (path, contents) in self.plan(tree)? {
            write(&tree.join(path), contents)?;
        }
        Ok((self.hooks.len(), self.copies.len()))
    }
}

impl Expect {
    fn check(&self, tree: &Path) -> Result<()> {
        let name = &self.name;
        let text = fs::read_to_string(tree.join(&self.file)).with_context(|| {
            format!("expectation `{name}`: cannot read {}", self.file.display())
        })?;
        let (part, stands) = match (&self.has, &self.lacks) {
            (Some(part), None) => (part, true),
            (None, Some(part)) => (part, false),
            _ => bail!("expectation `{name}`: give exactly one of `has` and `lacks`"),
        };
        ensure!(
            text.contains(part.as_str()) == stands,
            "expectation `{name}`: {} {} {part:?}: {}",
            self.file.display(),
            if stands { "lacks" } else { "has" },
            self.because
        );
        Ok(())
    }
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, contents).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests;
