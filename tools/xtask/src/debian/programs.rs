// SPDX-License-Identifier: MIT
//! Programs of other people that consoles are tried with. Installed, some of
//! them would start, now and at every boot, so they are only unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian::apt::{Private, extract};
use crate::debian::host;
use crate::debian::packages::Packages;
use crate::engine::dirs::Dirs;
use crate::engine::step::{Cx, Key, Steps};

/// Unpack the programs that `cargo test -p viewers` runs
#[derive(clap::Args)]
pub(crate) struct Options;

/// Fetches and unpacks them, and what they need.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    let packages = Packages::read();
    host::tools(steps, &packages)?;
    make(steps, &packages)
}

/// Makes `target/programs`, in which the tests of `viewers` look.
pub(crate) fn make(steps: &Steps, packages: &Packages) -> Result<()> {
    let root = steps.dirs.target.join("programs");
    let wanted = &packages.programs.packages;
    let key = Key::default().text(wanted.join(" "));
    steps.run("programs", key, &[&root], |cx| {
        let fetched = empty(&root)?.join("packages");
        fs::create_dir_all(&fetched)?;
        cx.run(
            Command::new("apt-get")
                .arg("download")
                .args(wanted)
                .current_dir(&fetched),
        )
        .context("packages for this machine (after `apt-get update`)")?;
        unpack(cx, &fetched, &root)
    })?;
    Ok(())
}

/// Where those for dom0 are unpacked.
pub(crate) fn for_dom0(dirs: &Dirs) -> PathBuf {
    dirs.target.join("dom0-programs")
}

/// Makes the folder of those for dom0. Returns the step's key.
pub(crate) fn make_for_dom0(steps: &Steps, packages: &Packages) -> Result<String> {
    let root = for_dom0(&steps.dirs);
    let wanted = &packages.dom0.packages;
    let key = Key::default()
        .text(&packages.debian.release)
        .text(wanted.join(" "));
    steps.run("dom0 programs", key, &[&root], |cx| {
        let fetched = empty(&root)?.join("packages");
        fs::create_dir_all(&fetched)?;
        let private = Private::open(cx, cx.dirs, &packages.debian.release)?;
        private.download_alone(cx, wanted, &fetched)?;
        unpack(cx, &fetched, &root)
    })
}

/// A folder with nothing in it.
fn empty(root: &Path) -> Result<&Path> {
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    Ok(root)
}

fn unpack(cx: &Cx, fetched: &Path, root: &Path) -> Result<String> {
    let mut count = 0;
    for package in fs::read_dir(fetched)? {
        extract(cx, &package?.path(), root)?;
        count += 1;
    }
    Ok(format!("{count} packages unpacked"))
}
