// SPDX-License-Identifier: MIT
//! Hooks: how our change reaches somebody's Xen tree.
//!
//! A set of hooks is the TOML files of `hyp-shim/hooks/common/`, which hold for
//! every version, and of `hyp-shim/hooks/xen-VERSION/`, which hold for that one
//! (or, for another tree than Xen's, those of any folder).
//! `[[copy]]` puts a file of ours into the tree; `[[hook]]` inserts lines of
//! ours before or after an anchor, which must match exactly once, so that
//! another Xen fails with the name of a hook instead of building something
//! else. The whole set is checked before the first byte is written.

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
}

/// Lines inserted beside an anchor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    /// Names the hook in errors; unique in the set.
    name: String,
    /// Path in the Xen tree.
    file: PathBuf,
    /// Whole lines to look for; exactly one of `before` and `after` is given.
    before: Option<String>,
    after: Option<String>,
    /// What is inserted, whole lines.
    insert: String,
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
pub(crate) struct HookSet {
    version: String,
    /// What copies are relative to.
    from: PathBuf,
    hooks: Vec<Hook>,
    copies: Vec<Copy>,
}

/// What a set writes into a tree: path in the tree and new contents.
pub(crate) type Changes = BTreeMap<PathBuf, Vec<u8>>;

impl HookSet {
    /// Reads the set for the version of the tree at `tree` from `shim`
    /// (the folder `hyp-shim`).
    pub(crate) fn for_tree(shim: &Path, tree: &Path) -> Result<Self> {
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
    fn for_version(shim: &Path, version: String) -> Result<Self> {
        let hooks = shim.join("hooks");
        let own = hooks.join(format!("xen-{version}"));
        Self::read(&[&hooks.join("common"), &own], version, shim)
    }

    /// Reads the set in these folders, for a tree of that version, whose copies
    /// come from below `from`.
    pub(crate) fn read(folders: &[&Path], version: String, from: &Path) -> Result<Self> {
        let mut set = Self {
            version,
            from: from.to_owned(),
            hooks: Vec::new(),
            copies: Vec::new(),
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
            let file: File =
                toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
            set.hooks.extend(file.hook);
            set.copies.extend(file.copy);
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

    /// The version (`4.17`) the set is for.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Works out every change to `tree` without writing any.
    pub(crate) fn plan(&self, tree: &Path) -> Result<Changes> {
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
        for hook in &self.hooks {
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
                .insert_into(&text)
                .with_context(|| format!("hook `{}`", hook.name))?;
            changes.insert(hook.file.clone(), text.into_bytes());
        }
        Ok(changes)
    }

    /// Applies the set to `tree`, or changes nothing and says why. Returns
    /// the number of hooks and of files put in.
    pub(crate) fn apply(&self, tree: &Path) -> Result<(usize, usize)> {
        for (path, contents) in self.plan(tree)? {
            let path = tree.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, contents).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok((self.hooks.len(), self.copies.len()))
    }
}

impl Hook {
    fn insert_into(&self, text: &str) -> Result<String> {
        let (anchor, after) = match (&self.before, &self.after) {
            (Some(anchor), None) => (anchor, false),
            (None, Some(anchor)) => (anchor, true),
            _ => bail!("give exactly one of `before` and `after`"),
        };
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
        let at = if after { at + anchor.len() + 1 } else { at };
        let (head, tail) = text.split_at(at.min(text.len()));
        Ok(format!(
            "{head}{}\n{tail}",
            self.insert.trim_end_matches('\n')
        ))
    }
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

fn known_versions(shim: &Path) -> Result<Vec<String>> {
    let mut versions: Vec<String> = fs::read_dir(shim.join("hooks"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("xen-").map(str::to_owned))
        .collect();
    versions.sort();
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(after: &str) -> Hook {
        Hook {
            name: "h".into(),
            file: "f".into(),
            before: None,
            after: Some(after.into()),
            insert: "new".into(),
        }
    }

    #[test]
    fn inserts_after_and_before_whole_lines() {
        assert_eq!(
            hook("b").insert_into("a\nb\nc\n").unwrap(),
            "a\nb\nnew\nc\n"
        );
        let before = Hook {
            before: Some("b".into()),
            after: None,
            ..hook("")
        };
        assert_eq!(before.insert_into("a\nb\nc\n").unwrap(), "a\nnew\nb\nc\n");
    }

    #[test]
    fn an_anchor_that_is_missing_or_not_unique_is_refused() {
        for text in ["a\nbb\nc\n", "b\nb\n"] {
            let error = hook("b").insert_into(text).unwrap_err().to_string();
            assert!(error.contains("exactly once"), "{error}");
        }
    }

    fn tree(version: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("xen")).unwrap();
        fs::write(
            dir.path().join("xen/Makefile"),
            format!("export XEN_VERSION = 4\nexport XEN_SUBVERSION = {version}\n"),
        )
        .unwrap();
        dir
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let shim = tempfile::tempdir().unwrap();
        fs::create_dir_all(shim.path().join("hooks/xen-4.17")).unwrap();
        let error = HookSet::for_tree(shim.path(), tree("9").path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("Xen 4.9") && error.contains("4.17"),
            "{error}"
        );
    }

    #[test]
    fn a_version_s_own_hooks_join_those_of_every_version() {
        let shim = tempfile::tempdir().unwrap();
        let hook = |name: &str, text: &str| {
            format!(
                "[[hook]]\nname = \"{name}\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"{text}\"\n"
            )
        };
        let hooks = shim.path().join("hooks");
        for (file, name, text) in [
            ("common/a.toml", "every", "every"),
            ("xen-4.17/a.toml", "own", "older"),
            ("xen-4.20/a.toml", "own", "newer"),
            ("xen-4.21/a.toml", "every", "again"),
        ] {
            let path = hooks.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, hook(name, text)).unwrap();
        }
        for (version, made) in [("17", "a\nolder\nevery\n"), ("20", "a\nnewer\nevery\n")] {
            let tree = tree(version);
            fs::write(tree.path().join("f"), "a\n").unwrap();
            let set = HookSet::for_tree(shim.path(), tree.path()).unwrap();
            assert_eq!(set.apply(tree.path()).unwrap(), (2, 0));
            assert_eq!(fs::read_to_string(tree.path().join("f")).unwrap(), made);
        }
        let error = HookSet::for_tree(shim.path(), tree("21").path()).unwrap_err();
        assert!(error.to_string().contains("two hooks are named `every`"));
    }

    #[test]
    fn a_set_with_one_bad_hook_writes_nothing() {
        let shim = tempfile::tempdir().unwrap();
        let set = shim.path().join("hooks/xen-4.17");
        fs::create_dir_all(&set).unwrap();
        fs::create_dir_all(shim.path().join("hooks/common")).unwrap();
        fs::write(
            set.join("a.toml"),
            "[[hook]]\nname = \"good\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"x\"\n\
             [[hook]]\nname = \"bad\"\nfile = \"f\"\nafter = \"zzz\"\ninsert = \"x\"\n",
        )
        .unwrap();
        let tree = tree("17");
        fs::write(tree.path().join("f"), "a\n").unwrap();
        let set = HookSet::for_tree(shim.path(), tree.path()).unwrap();
        let error = format!("{:#}", set.apply(tree.path()).unwrap_err());
        assert!(error.contains("`bad`"), "{error}");
        assert_eq!(fs::read_to_string(tree.path().join("f")).unwrap(), "a\n");
    }

    #[test]
    fn a_set_is_applied_to_a_tree_once() {
        let shim = tempfile::tempdir().unwrap();
        let set = shim.path().join("hooks/xen-4.17");
        fs::create_dir_all(&set).unwrap();
        fs::create_dir_all(shim.path().join("hooks/common")).unwrap();
        fs::write(shim.path().join("ours.c"), "ours\n").unwrap();
        fs::write(
            set.join("a.toml"),
            "[[copy]]\nfrom = \"ours.c\"\nto = \"xen/ours.c\"\n\
             [[hook]]\nname = \"h\"\nfile = \"f\"\nafter = \"a\"\ninsert = \"x\"\n",
        )
        .unwrap();
        let tree = tree("17");
        fs::write(tree.path().join("f"), "a\n").unwrap();
        let set = HookSet::for_tree(shim.path(), tree.path()).unwrap();
        assert_eq!(set.apply(tree.path()).unwrap(), (1, 1));
        let error = set.apply(tree.path()).unwrap_err().to_string();
        assert!(error.contains("applied to this tree before"), "{error}");
        assert_eq!(fs::read_to_string(tree.path().join("f")).unwrap(), "a\nx\n");
    }

    /// docs/xen-integration.md has a row for each hook, with its file, and none
    /// for a hook that is gone.
    #[test]
    fn every_hook_is_explained() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(root.join("docs/xen-integration.md")).unwrap();
        let explained: std::collections::BTreeSet<(&str, &str)> = page
            .lines()
            .filter_map(|row| row.strip_prefix("| `")?.split_once("` | `"))
            .filter_map(|(name, rest)| Some((name, rest.split_once("` | ")?.0)))
            .collect();
        let shim = root.join("hyp-shim");
        let sets: Vec<_> = known_versions(&shim)
            .unwrap()
            .into_iter()
            .map(|version| HookSet::for_version(&shim, version).unwrap())
            .collect();
        let hooks: std::collections::BTreeSet<(&str, &str)> = sets
            .iter()
            .flat_map(|set| &set.hooks)
            .map(|hook| (hook.name.as_str(), hook.file.to_str().unwrap()))
            .collect();
        let missing: Vec<_> = hooks.difference(&explained).collect();
        assert!(missing.is_empty(), "it has no row for {missing:?}");
        let gone: Vec<_> = explained.difference(&hooks).collect();
        assert!(gone.is_empty(), "there is no hook for its rows {gone:?}");
    }
}
