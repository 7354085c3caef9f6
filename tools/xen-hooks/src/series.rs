// SPDX-License-Identifier: MIT
//! The hooks as a series of patches for `git am`. git makes them, from a repository
//! that holds only the files they change, and applies them again, so that the exported
//! patches are known to equal the hooks.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::hooks::{Changes, HookSet, write};

/// The author of the patches, no person in particular.
const NAME: &str = "vpl011";
const EMAIL: &str = "vpl011@localhost";

/// A file `series.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Series {
    patch: Vec<Patch>,
}

/// One patch of the series.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    subject: String,
    message: String,
    /// Files or folders that it contains, unless an earlier patch does.
    #[serde(default)]
    paths: Vec<PathBuf>,
    /// Files of the set, without `.toml`; it contains only their hooks.
    #[serde(default)]
    hooks: Vec<String>,
}

impl Series {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// The changes of each patch. Every change is in one, and none is empty.
    fn split(&self, set: &HookSet, tree: &Path) -> Result<Vec<(&Patch, Changes)>> {
        let mut left: Vec<&str> = self
            .patch
            .iter()
            .flat_map(|patch| patch.hooks.iter().map(String::as_str))
            .collect();
        let mut done = set.plan_without(tree, &left)?;
        let mut parts: Vec<_> = self
            .patch
            .iter()
            .map(|patch| (patch, Changes::new()))
            .collect();
        for (file, contents) in &done {
            let mine = parts.iter_mut().find(|(patch, _)| {
                let mut paths = patch.paths.iter();
                paths.any(|path| file.starts_with(path))
            });
            let Some((_, part)) = mine else {
                bail!("no patch of the series takes {}", file.display());
            };
            part.insert(file.clone(), contents.clone());
        }
        for (patch, part) in &mut parts {
            if patch.hooks.is_empty() {
                continue;
            }
            left.retain(|group| !patch.hooks.iter().any(|mine| mine == group));
            let next = set.plan_without(tree, &left)?;
            part.extend(
                next.iter()
                    .filter(|(file, contents)| done.get(*file) != Some(*contents))
                    .map(|(file, contents)| (file.clone(), contents.clone())),
            );
            done = next;
        }
        if let Some((patch, _)) = parts.iter().find(|(_, part)| part.is_empty()) {
            bail!("nothing is left for the patch `{}`", patch.subject);
        }
        Ok(parts)
    }
}

/// Writes the hooks for a Xen tree as patches into `into`, with `work` as the folder of
/// a repository. Returns the patches.
pub fn export(shim: &Path, tree: &Path, work: &Path, into: &Path) -> Result<Vec<PathBuf>> {
    let set = HookSet::for_tree(shim, tree)?;
    export_set(&set, &shim.join("hooks/series.toml"), tree, work, into)
}

/// The same for any set and its tree, divided as the file `series` describes.
pub fn export_set(
    set: &HookSet,
    series: &Path,
    tree: &Path,
    work: &Path,
    into: &Path,
) -> Result<Vec<PathBuf>> {
    let changes = set.plan(tree)?;
    let series = Series::read(series)?;
    fs::create_dir_all(into)?;
    ensure!(
        patches(into)?.is_empty(),
        "{} holds patches already",
        into.display()
    );
    // git runs in another folder.
    let into = into.canonicalize()?;
    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    fs::create_dir_all(work)?;
    let repository = Repository(work);
    repository.git(&["init", "--quiet", "--initial-branch=series"])?;
    for file in changes.keys().filter(|file| tree.join(file).exists()) {
        write(&work.join(file), fs::read(tree.join(file))?)?;
    }
    repository.commit("what the series begins with")?;
    repository.git(&["tag", "before"])?;
    for (patch, part) in series.split(set, tree)? {
        for (file, contents) in part {
            write(&work.join(file), contents)?;
        }
        repository.commit(&format!("{}\n\n{}", patch.subject, patch.message))?;
    }
    let target = into.display().to_string();
    repository.git(&[
        "format-patch",
        "--quiet",
        "--zero-commit",
        "--no-signature",
        "--output-directory",
        &target,
        "before",
    ])?;
    let patches = patches(&into)?;
    repository.applies(&patches)?;
    Ok(patches)
}

/// The patches in a folder, in their order.
fn patches(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    found.retain(|path| path.extension().is_some_and(|e| e == "patch"));
    found.sort();
    Ok(found)
}

/// A repository that no user's settings affect.
struct Repository<'a>(&'a Path);

impl Repository<'_> {
    /// Runs git. Returns its output.
    fn git(&self, arguments: &[impl AsRef<OsStr>]) -> Result<String> {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(self.0);
        for (name, _) in std::env::vars_os() {
            // Variables of a git hook, or of a user's shell.
            if name.as_encoded_bytes().starts_with(b"GIT_") {
                git.env_remove(name);
            }
        }
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", NAME)
            .env("GIT_AUTHOR_EMAIL", EMAIL)
            .env("GIT_COMMITTER_NAME", NAME)
            .env("GIT_COMMITTER_EMAIL", EMAIL);
        let output = git.output().context("running git")?;
        ensure!(
            output.status.success(),
            "{git:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }

    fn commit(&self, message: &str) -> Result<()> {
        self.git(&["add", "--all", "--force"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        Ok(())
    }

    fn tree(&self) -> Result<String> {
        self.git(&["rev-parse", "HEAD^{tree}"])
    }

    /// Checks that `git am` gives the committed state, from the start of the series.
    fn applies(&self, patches: &[PathBuf]) -> Result<()> {
        let committed = self.tree()?;
        self.git(&["checkout", "--quiet", "--detach", "before"])?;
        let mut am: Vec<&OsStr> = vec!["am".as_ref(), "--quiet".as_ref()];
        am.extend(patches.iter().map(|patch| patch.as_os_str()));
        self.git(&am)?;
        ensure!(
            self.tree()? == committed,
            "git am gives another tree than the hooks"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Xen tree, and hooks for it: two files changed and one copied.
    fn set_up(dir: &Path) -> (PathBuf, PathBuf) {
        let (shim, tree) = (dir.join("shim"), dir.join("tree"));
        let files = [
            (
                "tree/xen/Makefile",
                "export XEN_VERSION = 4\nexport XEN_SUBVERSION = 17\n",
            ),
            ("tree/xen/a.c", "one\ntwo\nthree\n"),
            ("tree/tools/b.c", "four\n"),
            ("tree/untouched", "as it is\n"),
            ("shim/ours.c", "ours\n"),
            (
                "shim/hooks/common/a.toml",
                "[[copy]]\nfrom = \"ours.c\"\nto = \"xen/new/ours.c\"\n\
                 [[hook]]\nname = \"a\"\nfile = \"xen/a.c\"\nafter = \"two\"\ninsert = \"x\"\n\
                 [[hook]]\nname = \"b\"\nfile = \"tools/b.c\"\nbefore = \"four\"\ninsert = \"y\"\n",
            ),
            ("shim/hooks/xen-4.17/a.toml", ""),
            (
                "shim/hooks/common/fast.toml",
                "[[hook]]\nname = \"c\"\nfile = \"xen/a.c\"\nafter = \"x\"\ninsert = \"z\"\n",
            ),
            (
                "shim/hooks/series.toml",
                "[[patch]]\nsubject = \"new: file\"\nmessage = \"Why.\"\npaths = [\"xen/new\"]\n\
                 [[patch]]\nsubject = \"xen\"\nmessage = \"Why.\"\npaths = [\"xen\"]\n\
                 [[patch]]\nsubject = \"fast\"\nmessage = \"Why.\"\nhooks = [\"fast\"]\n\
                 [[patch]]\nsubject = \"tools\"\nmessage = \"Why.\"\npaths = [\"tools\"]\n",
            ),
        ];
        for (name, text) in files {
            write(&dir.join(name), text).unwrap();
        }
        (shim, tree)
    }

    fn exported(dir: &Path, shim: &Path, tree: &Path) -> Result<Vec<PathBuf>> {
        export(shim, tree, &dir.join("work"), &dir.join("out"))
    }

    #[test]
    fn a_user_s_repository_becomes_what_the_hooks_make() {
        let dir = tempfile::tempdir().unwrap();
        let (shim, tree) = set_up(dir.path());
        let patches = exported(dir.path(), &shim, &tree).unwrap();
        let names: Vec<_> = patches
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "0001-new-file.patch",
                "0002-xen.patch",
                "0003-fast.patch",
                "0004-tools.patch"
            ]
        );

        let theirs = dir.path().join("theirs");
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program)
                .args(arguments)
                .current_dir(&theirs)
                .status()
                .unwrap();
            assert!(status.success(), "{program} {arguments:?}");
        };
        let whole = Command::new("cp").arg("-r").args([&tree, &theirs]).status();
        assert!(whole.unwrap().success());
        run("git", &["init", "--quiet"]);
        run("git", &["config", "user.name", "somebody"]);
        run("git", &["config", "user.email", "somebody@example.org"]);
        run("git", &["add", "--all"]);
        run("git", &["commit", "--quiet", "--message", "theirs"]);
        let patches: Vec<_> = patches.iter().map(|path| path.to_str().unwrap()).collect();
        run("git", &[&["am", "--quiet"], patches.as_slice()].concat());

        HookSet::for_tree(&shim, &tree)
            .unwrap()
            .apply(&tree)
            .unwrap();
        let same = Command::new("diff")
            .args(["--recursive", "--exclude=.git"])
            .args([&tree, &theirs])
            .status();
        assert!(same.unwrap().success(), "git am and xen apply differ");
    }

    #[test]
    fn a_change_in_no_patch_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let (shim, tree) = set_up(dir.path());
        let series = "[[patch]]\nsubject = \"xen\"\nmessage = \"\"\npaths = [\"xen\"]\n";
        write(&shim.join("hooks/series.toml"), series).unwrap();
        let error = format!("{:#}", exported(dir.path(), &shim, &tree).unwrap_err());
        assert!(error.contains("tools/b.c"), "{error}");
    }

    #[test]
    fn a_folder_with_patches_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (shim, tree) = set_up(dir.path());
        write(&dir.path().join("out/0001-old.patch"), "old").unwrap();
        let error = format!("{:#}", exported(dir.path(), &shim, &tree).unwrap_err());
        assert!(error.contains("already"), "{error}");
    }
}
