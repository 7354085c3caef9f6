// SPDX-License-Identifier: MIT
//! Third-party programs for tests of consoles. If installed, some of them would start,
//! now and at every boot, so they are only unpacked.

use std::path::{Path, PathBuf};

use ::pins::Pins;
use anyhow::Result;
use steps::{Dirs, Steps, files};

use crate::debian::apt::extract;
use crate::debian::host;
use crate::debian::pins;

/// Unpack the programs that `cargo test -p viewers` runs
#[derive(clap::Args)]
pub(crate) struct Options;

/// Fetches and unpacks them, with their dependencies.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    host::tools(steps)?;
    make(steps)
}

/// Makes `target/programs`, which the tests of `viewers` use.
pub(crate) fn make(steps: &Steps) -> Result<()> {
    let root = steps.dirs.target.join("programs");
    let pins = steps.pins("programs")?.of(host::architecture());
    unpack(steps, "programs", &pins, &root)?;
    Ok(())
}

/// Unpacks checkpolicy, the compiler of FLASK's policies. Returns its path, and the
/// step's key.
pub(crate) fn checkpolicy(steps: &Steps) -> Result<(PathBuf, String)> {
    let root = steps.dirs.target.join("policy");
    let pins = steps.pins("policy")?.of(host::architecture());
    let key = unpack(steps, "policy compiler", &pins, &root)?;
    Ok((root.join("usr/bin/checkpolicy"), key))
}

/// The folder of the programs for dom0.
pub(crate) fn for_dom0(dirs: &Dirs) -> PathBuf {
    dirs.target.join("dom0-programs")
}

/// Makes the folder of the programs for dom0. Returns the step's key.
pub(crate) fn make_for_dom0(steps: &Steps) -> Result<String> {
    let pins = steps.pins("dom0")?;
    unpack(steps, "dom0 programs", &pins, &for_dom0(&steps.dirs))
}

/// Fetches and unpacks packages into their own folder. Returns the step's key.
pub(crate) fn unpack(steps: &Steps, step: &str, pins: &Pins, root: &Path) -> Result<String> {
    steps.run(step, pins::key(pins), &[root], |cx| {
        let files = cx.fetch(pins)?;
        files::empty(root)?;
        for file in &files {
            extract(cx, file, root)?;
        }
        Ok(format!("{} packages unpacked", files.len()))
    })
}
