// SPDX-License-Identifier: MIT
//! Hooks: how our change reaches somebody's Xen tree.
//!
//! A set of hooks is the TOML files of `hyp-shim/hooks/common/`, which hold for
//! every version, and of `hyp-shim/hooks/xen-VERSION/`, which hold for that one
//! (or, for another tree than Xen's, those of any folder).
//! `[[copy]]` puts a file of ours into the tree; `[[hook]]` inserts lines of
//! ours before or after an anchor, or in its place, and the anchor must match
//! exactly once, so that another Xen fails with the name of a hook instead of
//! building something else. `[[expect]]` says what else the copied files rely
//! on. The whole set is checked before the first byte is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

/// One TOML file of a set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    hook: Vec<Hook>,
    #[serde(default)]
    copy: Vec<Copy>,
    #[serde(default)]
    expect: Vec<Expect>,
}

/// Lines inserted beside an anchor, or in its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    /// Names the hook in errors; unique in the set.
    name: String,
    /// Path in the Xen tree.
    file: PathBuf,
    /// Whole lines to look for; exactly one of these is given.
    before: Option<String>,
    after: Option<String>,
    replace: Option<String>,
    delete: Option<String>,
    /// What is inserted, whole lines; none with `delete`.
    insert: Option<String>,
    /// The name of the file it stands in, without `.toml`.
    #[serde(skip)]
    group: String,
}

/// What a set relies on without changing it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// Names the expectation in errors.
    name: String,
    /// Path in the Xen tree.
    file: PathBuf,
    /// Text that stands in the file, or that does not.
    has: Option<String>,
    lacks: Option<String>,
    /// What is wrong otherwise, to be read by who ports the set.
    because: String,
}

/// A file of ours that is put into the tree.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    /// Path under `hyp-shim/`.
    from: PathBuf,
    /// Path in the Xen tree.
    to: PathBuf,
}

/// A checked set of hooks for one version of a tree.
#[derive(Debug)]
pub struct HookSet {
    version: String,
    /// What copies are relative to.
    from: PathBuf,
    hooks: Vec<Hook>,
    copies: Vec<Copy>,
    expectations: Vec<Expect>,
}

/// What a set writes into a tree: path in the tree and new contents.
pub type Changes = BTreeMap<PathBuf, Vec<u8>>;

impl HookSet {
    /// Reads the set for the version of the tree at `tree` from `shim`
    /// (the folder `hyp-shim`).
    pub fn for_tree(shim: &Path, tree: &Path) -> Result<Self> {
        let version = tree_version(tree)?;
        let known = known_versions(shim)?;
        ensure!(
            known.contains(&version),
            "{} is Xen {version}; there are hooks for: {}",
            tree.display(),
            known.join(", ")
        );
        Self::for_version(shim, version)
    }

    /// Reads the set for a version.
    pub fn for_version(shim: &Path, version: String) -> Result<Self> {
        let hooks = shim.join("hooks");
        let own = hooks.join(format!("xen-{version}"));
        Self::read(&[&hooks.join("common"), &own], version, shim)
    }

    /// Reads the set in these folders, for a tree of that version, whose copies
    /// come from below `from`.
    pub fn read(folders: &[&Path], version: String, from: &Path) -> Result<Self> {
        let mut set = Self {
            version,
            from: from.to_owned(),
            hooks: Vec::new(),
            copies: Vec::new(),
            expectations: Vec::new(),
        };
        let mut paths = Vec::new();
        for folder in folders {
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
            set.hooks.extend(file.hook);
            set.copies.extend(file.copy);
            set.expectations.extend(file.expect);
        }
        let mut names = std::collections::BTreeSet::new();
        for hook in &set.hooks {
            ensure!(
                names.insert(&hook.name),
                "two hooks are named `{}`",
                hook.name
            );
        }
        Ok(set)
    }

    /// Some hooks of the set, and blank lines for all others, so that every line
    /// of the tree's own has the number that it has with them.
    #[must_use]
    pub fn only(mut self, names: &[&str]) -> Self {
        let kept = |hook: &Hook| names.contains(&hook.name.as_str());
        // No object has numbers of lines of what has no extension: Kconfig, make.
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

    /// Works out every change to `tree` without writing any.
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
                "{} is there already: have the hooks been applied to this tree before? \
                 Start from a fresh one",
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

    /// Applies the set to `tree`, or changes nothing and says why. Returns
    /// the number of hooks and of files put in.
    pub fn apply(&self, tree: &Path) -> Result<(usize, usize)> {
        for (path, contents) in self.plan(tree)? {
            write(&tree.join(path), contents)?;
        }
        Ok((self.hooks.len(), self.copies.len()))
    }
}

impl Hook {
    /// Inserts as many blank lines instead; what was to be replaced or deleted
    /// stays.
    fn blank(&mut self) {
        let lines = |text: &Option<String>| text.as_deref().map_or(0, |text| text.lines().count());
        let gone = self.replace.take().or_else(|| self.delete.take());
        let more = lines(&self.insert).saturating_sub(lines(&gone));
        self.insert = Some("\n".repeat(more));
        self.after = gone.or_else(|| self.after.take());
    }

    fn apply_to(&self, text: &str) -> Result<String> {
        let (anchor, keeps_before, keeps_after) =
            match (&self.before, &self.after, &self.replace, &self.delete) {
                (Some(anchor), None, None, None) => (anchor, false, true),
                (None, Some(anchor), None, None) => (anchor, true, false),
                (None, None, Some(anchor), None) | (None, None, None, Some(anchor)) => {
                    (anchor, false, false)
                }
                _ => bail!("give exactly one of `before`, `after`, `replace` and `delete`"),
            };
        ensure!(
            self.insert.is_some() != self.delete.is_some(),
            "give `insert`, or `delete`"
        );
        let anchor = anchor.trim_end_matches('\n');
        let at: Vec<usize> = text
            .match_indices(anchor)
            .map(|(at, _)| at)
            .filter(|&at| whole_lines(text, at, anchor.len()))
            .collect();
        let &[at] = at.as_slice() else {
            bail!(
                "its anchor stands {} times in {}, and must stand exactly once: {anchor:?}",
                at.len(),
                self.file.display()
            );
        };
        let end = (at + anchor.len() + 1).min(text.len());
        let kept = |keeps: bool| if keeps { &text[at..end] } else { "" };
        let mut insert = self.insert.clone().unwrap_or_default();
        if !insert.is_empty() && !insert.ends_with('\n') {
            insert.push('\n');
        }
        Ok([
            &text[..at],
            kept(keeps_before),
            &insert,
            kept(keeps_after),
            &text[end..],
        ]
        .concat())
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

/// Whether `text[at..at + len]` begins and ends at line breaks.
fn whole_lines(text: &str, at: usize, len: usize) -> bool {
    let starts = at == 0 || text.as_bytes()[at - 1] == b'\n';
    let ends = text
        .as_bytes()
        .get(at + len)
        .is_none_or(|&byte| byte == b'\n');
    starts && ends
}

/// The version (`4.17`) that a Xen tree's own makefile states.
fn tree_version(tree: &Path) -> Result<String> {
    let path = tree.join("xen/Makefile");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is no Xen tree: no xen/Makefile", tree.display()))?;
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix("export "))
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().to_owned())
            .with_context(|| format!("{} does not state {name}", path.display()))
    };
    Ok(format!(
        "{}.{}",
        field("XEN_VERSION")?,
        field("XEN_SUBVERSION")?
    ))
}

/// The versions of Xen that there are hooks for.
pub fn known_versions(shim: &Path) -> Result<Vec<String>> {
    let mut versions: Vec<String> = fs::read_dir(shim.join("hooks"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("xen-").map(str::to_owned))
        .collect();
    versions.sort();
    Ok(versions)
}

#[cfg(test)]
mod tests;
