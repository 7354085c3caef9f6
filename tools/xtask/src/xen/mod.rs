// SPDX-License-Identifier: MIT
//! `cargo xtask xen`: somebody's Xen tree, and ours.

pub(crate) mod fetch;
mod hooks;
mod hypervisor;
mod series;
pub(crate) mod sysroot;
pub(crate) mod toolstack;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;

pub(crate) use self::hooks::HookSet;
pub(crate) use self::tree::Flavour;
use self::tree::Tree;
use crate::host;
use crate::packages::Packages;
use crate::step::Steps;

/// What to do with a Xen tree.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Fetch Xen's source, as packaged by Debian, to target/xen/src
    Fetch,
    /// Build hypervisor and toolstack for arm64
    Build {
        /// Without our hooks, to target/xen/4.17-stock
        #[arg(long)]
        stock: bool,
    },
    /// Apply the hooks to a Xen source tree
    Apply {
        /// The tree: the folder that holds `xen/` and `tools/`
        #[arg(long, value_name = "DIR")]
        tree: PathBuf,
    },
    /// Write the hooks as patches for `git am`
    ExportPatches {
        /// Where to
        #[arg(value_name = "DIR")]
        into: PathBuf,
        /// The tree they are for; otherwise Xen's source as packaged by Debian
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
    },
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(&self, steps: &Steps) -> Result<()> {
        let packages = Packages::read();
        match self {
            Self::Fetch => {
                host::tools(steps, &packages)?;
                fetch::source(steps, &packages)?;
                println!("{}", steps.dirs.xen("src").display());
            }
            Self::Build { stock } => {
                let flavour = if *stock {
                    Flavour::Stock
                } else {
                    Flavour::Ours
                };
                host::prepare(steps, &packages)?;
                let built = build(steps, &packages, flavour)?;
                println!("{}", built.hypervisor.display());
            }
            Self::Apply { tree } => {
                let set = HookSet::for_tree(&steps.dirs.shim(), tree)?;
                let (hooks, files) = set.apply(tree)?;
                println!(
                    "Xen {}: {hooks} hooks applied, {files} files put in",
                    set.version()
                );
            }
            Self::ExportPatches { into, tree } => {
                for patch in patches(steps, tree.as_deref(), into)? {
                    println!("{}", patch.display());
                }
            }
        }
        Ok(())
    }
}

/// Writes the hooks as patches, for a tree or for the fetched source.
fn patches(steps: &Steps, tree: Option<&Path>, into: &Path) -> Result<Vec<PathBuf>> {
    let fetched = steps.dirs.xen("src");
    if tree.is_none() {
        let packages = Packages::read();
        host::tools(steps, &packages)?;
        fetch::source(steps, &packages)?;
    }
    steps.always("xen patches", |cx| {
        let work = cx.dirs.target.join("tmp/series");
        let tree = tree.unwrap_or(&fetched);
        let patches = series::export(cx, &cx.dirs.shim(), tree, &work, into)?;
        let said = format!("{}; git am gives what the hooks give", patches.len());
        Ok((said, patches))
    })
}

/// That the hooks can be had as patches for the fetched source.
pub(crate) fn check_patches(steps: &Steps) -> Result<()> {
    let into = steps.dirs.target.join("tmp/patches");
    if into.exists() {
        fs::remove_dir_all(&into)?;
    }
    patches(steps, None, &into).map(drop)
}

/// A hypervisor and a toolstack.
pub(crate) struct Built {
    /// The hypervisor's image, as a boot loader wants it.
    pub(crate) hypervisor: PathBuf,
    /// The tree in which the toolstack was built.
    pub(crate) tree: PathBuf,
    /// The toolstack's key.
    pub(crate) toolstack: String,
}

/// Fetches and builds a flavour of Xen.
pub(crate) fn build(steps: &Steps, packages: &Packages, flavour: Flavour) -> Result<Built> {
    let source = fetch::source(steps, packages)?;
    let sysroot = sysroot::make(steps, packages)?;
    let tree = Tree::prepare(steps, &source, flavour)?;
    let hypervisor = hypervisor::build(steps, &tree)?;
    let toolstack = toolstack::build(steps, &tree, &sysroot)?;
    Ok(Built {
        hypervisor,
        tree: tree.path,
        toolstack,
    })
}

/// Fetches and builds a flavour's hypervisor alone.
pub(crate) fn hypervisor(steps: &Steps, packages: &Packages, flavour: Flavour) -> Result<PathBuf> {
    let source = fetch::source(steps, packages)?;
    let tree = Tree::prepare(steps, &source, flavour)?;
    hypervisor::build(steps, &tree)
}

/// make's `-j` for this machine.
pub(crate) fn jobs() -> String {
    format!(
        "-j{}",
        std::thread::available_parallelism().map_or(1, usize::from)
    )
}
