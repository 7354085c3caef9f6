// SPDX-License-Identifier: MIT
//! `cargo xtask libvirt`: the PL011 in libvirt's driver for Xen. `hyp-shim/libvirt` has
//! the changes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;
use steps::{Steps, files};
use xen_hooks::HookSet;

use crate::debian::{host, pins};
use crate::run::install;
use crate::xen::fetch;

/// What to do with a libvirt tree.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write the changes to libvirt as patches for `git am`
    ExportPatches {
        /// The folder for them
        #[arg(value_name = "DIR")]
        into: PathBuf,
        /// The tree they are for; otherwise libvirt's source as packaged by Debian
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
    },
    /// Start guests with a PL011 by a driver for Xen that was built with the changes, in
    /// the dom0 of `cargo xtask e2e libvirt`
    Try {
        /// The driver, `libvirt_driver_libxl.so` of that dom0's version, for arm64
        #[arg(value_name = "FILE")]
        driver: PathBuf,
    },
}

impl Command {
    /// Runs the command. Returns whether it succeeded.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        match self {
            Self::ExportPatches { into, tree } => {
                let source = match tree {
                    Some(tree) => tree.clone(),
                    None => fetched(steps)?,
                };
                for patch in patches(steps, &source, into)? {
                    println!("{}", patch.display());
                }
                Ok(true)
            }
            Self::Try { driver } => {
                host::prepare(steps)?;
                Ok(install::with_libvirt_driver(steps, driver)?.pass)
            }
        }
    }
}

/// Debian's source, the upstream part, fetched if missing.
fn fetched(steps: &Steps) -> Result<PathBuf> {
    host::tools(steps)?;
    let pins = steps.pins("libvirt-source")?;
    let folder = steps.dirs.target.join("libvirt");
    let tree = folder.join("src");
    steps.run("libvirt source", pins::key(&pins), &[&tree], |cx| {
        fetch::unpack(cx, &pins, &folder.join("download"), &tree)
    })?;
    Ok(tree)
}

/// Writes the changes as patches for a tree.
fn patches(steps: &Steps, tree: &Path, into: &Path) -> Result<Vec<PathBuf>> {
    steps.value("libvirt patches", |cx| {
        let ours = cx.dirs.root.join("hyp-shim/libvirt");
        let set = HookSet::read(&[ours.join("hooks")], "libvirt".into(), &ours)?;
        let work = cx.dirs.target.join("tmp/libvirt-series");
        let series = ours.join("series.toml");
        let patches = xen_hooks::export_set(&set, &series, tree, &work, into)?;
        let said = format!("{}; git am gives the same tree as the hooks", patches.len());
        Ok((said, patches))
    })
}

/// Checks that the changes can be exported as patches for Debian's source.
pub(crate) fn check_patches(steps: &Steps) -> Result<()> {
    let into = steps.dirs.target.join("tmp/libvirt-patches");
    files::remove(&into)?;
    patches(steps, &fetched(steps)?, &into)?;
    Ok(())
}
