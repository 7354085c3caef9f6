// SPDX-License-Identifier: MIT
//! `cargo xtask xen`: the user's Xen tree, and this project's.

mod choice;
pub(crate) mod fetch;
mod hypervisor;
mod off;
pub(crate) mod sysroot;
pub(crate) mod toolstack;
mod traps;
mod tree;
pub(crate) mod version;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use steps::{Steps, files};
use xen_hooks::HookSet;

pub(crate) use self::choice::Choice;
pub(crate) use self::hypervisor::object;
use self::tree::Tree;
pub(crate) use self::version::{Flavour, Version, Which};
use crate::debian::host;

/// What to do with a Xen tree.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Fetch Xen's source, as packaged by Debian, to target/xen
    Fetch {
        /// The version of Xen
        #[arg(long, value_name = "VERSION", default_value = "4.17")]
        xen: Version,
    },
    /// Build hypervisor and toolstack for arm64
    Build {
        #[command(flatten)]
        xen: Choice,
        /// Without our hooks, to target/xen/VERSION-stock
        #[arg(long)]
        stock: bool,
    },
    /// Compare Xen with both options off to Xen without the hooks
    CheckOff {
        #[command(flatten)]
        xen: Choice,
    },
    /// Compare a guest's results with the fast trap and without
    CheckTraps {
        #[command(flatten)]
        xen: Choice,
    },
    /// Apply the hooks to a Xen source tree
    Apply {
        /// The tree: the folder that holds `xen/` and `tools/`
        #[arg(long, value_name = "DIR")]
        tree: PathBuf,
    },
    /// Write the hooks as patches for `git am`
    ExportPatches {
        /// The folder for them
        #[arg(value_name = "DIR")]
        into: PathBuf,
        /// The tree they are for; otherwise Xen's source as packaged by Debian
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
        /// The version of that source
        #[arg(
            long,
            value_name = "VERSION",
            default_value = "4.17",
            conflicts_with = "tree"
        )]
        xen: Version,
    },
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(&self, steps: &Steps) -> Result<()> {
        match self {
            Self::Fetch { xen } => {
                host::tools(steps)?;
                fetch::source(steps, *xen)?;
                println!("{}", steps.dirs.target.join(xen.source()).display());
            }
            Self::Build { xen, stock } => {
                let flavour = if *stock {
                    Flavour::Stock
                } else {
                    Flavour::Ours
                };
                host::prepare(steps)?;
                let version = xen.version(steps)?;
                let built = build(steps, Which { version, flavour })?;
                println!("{}", built.hypervisor.display());
            }
            Self::CheckOff { xen } => {
                host::prepare(steps)?;
                off::check(steps, xen.version(steps)?)?;
            }
            Self::CheckTraps { xen } => {
                host::tools(steps)?;
                traps::check(steps, xen.version(steps)?)?;
            }
            Self::Apply { tree } => {
                let set = HookSet::for_tree(&steps.dirs.root.join("hyp-shim"), tree)?;
                let (hooks, files) = set.apply(tree)?;
                println!(
                    "Xen {}: {hooks} hooks applied, {files} files added",
                    set.version()
                );
            }
            Self::ExportPatches { into, tree, xen } => {
                let source = match tree {
                    Some(tree) => tree.clone(),
                    None => fetched(steps, *xen)?,
                };
                for patch in patches(steps, &source, into)? {
                    println!("{}", patch.display());
                }
            }
        }
        Ok(())
    }
}

/// A version's source, fetched if missing.
fn fetched(steps: &Steps, version: Version) -> Result<PathBuf> {
    host::tools(steps)?;
    fetch::source(steps, version)?;
    Ok(steps.dirs.target.join(version.source()))
}

/// Writes the hooks as patches for a tree.
fn patches(steps: &Steps, tree: &Path, into: &Path) -> Result<Vec<PathBuf>> {
    steps.value("xen patches", |cx| {
        let work = cx.dirs.target.join("tmp/series");
        let patches = xen_hooks::export(&cx.dirs.root.join("hyp-shim"), tree, &work, into)?;
        let said = format!("{}; git am gives the same tree as the hooks", patches.len());
        Ok((said, patches))
    })
}

/// Checks that the hooks can be exported as patches for a version's source.
pub(crate) fn check_patches(steps: &Steps, version: Version) -> Result<()> {
    let into = steps.dirs.target.join("tmp/patches");
    files::remove(&into)?;
    patches(steps, &fetched(steps, version)?, &into)?;
    Ok(())
}

/// Checks that the hooks change nothing while the options are off.
pub(crate) fn check_off(steps: &Steps) -> Result<()> {
    off::check(steps, Version::default())
}

/// Checks that a guest sees the same with the fast trap and without, on a version.
pub(crate) fn check_traps(steps: &Steps, version: Version) -> Result<()> {
    traps::check(steps, version)
}

/// A hypervisor and a toolstack.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) which: Which,
    /// The hypervisor's image, for a boot loader.
    pub(crate) hypervisor: PathBuf,
    /// The tree in which the toolstack was built.
    pub(crate) tree: PathBuf,
    /// The toolstack's key.
    pub(crate) toolstack: String,
}

/// Fetches and builds a Xen.
pub(crate) fn build(steps: &Steps, which: impl Into<Which>) -> Result<Built> {
    let which = which.into();
    let source = fetch::source(steps, which.version)?;
    let sysroot = sysroot::make(steps)?;
    let tree = Tree::prepare(steps, &source, which)?;
    let hypervisor = hypervisor::build(steps, &tree)?;
    let toolstack = toolstack::build(steps, &tree, &sysroot)?;
    Ok(Built {
        which,
        hypervisor,
        tree: tree.path,
        toolstack,
    })
}

/// Fetches and builds only a hypervisor.
pub(crate) fn hypervisor(steps: &Steps, which: Which) -> Result<PathBuf> {
    let source = fetch::source(steps, which.version)?;
    let tree = Tree::prepare(steps, &source, which)?;
    hypervisor::build(steps, &tree)
}

/// make's `-j` for this machine.
pub(crate) fn jobs() -> String {
    format!(
        "-j{}",
        std::thread::available_parallelism().map_or(1, usize::from)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    /// docs/reference/hooks.md has a row for each hook, with its file, and no row for a
    /// removed hook.
    #[test]
    fn every_hook_is_explained() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = fs::read_to_string(root.join("docs/reference/hooks.md")).unwrap();
        let explained: BTreeSet<(&str, &str)> = page
            .lines()
            .filter_map(|row| row.strip_prefix("| `")?.split_once("` | `"))
            .filter_map(|(name, rest)| Some((name, rest.split_once("` | ")?.0)))
            .collect();
        let shim = root.join("hyp-shim");
        let versions = xen_hooks::known_versions(&shim).unwrap().into_iter();
        let sets: Vec<_> = versions
            .map(|version| HookSet::for_version(&shim, version).unwrap())
            .collect();
        let hooks: BTreeSet<(&str, &str)> = sets
            .iter()
            .flat_map(HookSet::hooks)
            .map(|(name, file)| (name, file.to_str().unwrap()))
            .collect();
        let missing: Vec<_> = hooks.difference(&explained).collect();
        assert!(missing.is_empty(), "the page has no row for {missing:?}");
        let gone: Vec<_> = explained.difference(&hooks).collect();
        assert!(
            gone.is_empty(),
            "the page has rows without a hook: {gone:?}"
        );
    }
}
