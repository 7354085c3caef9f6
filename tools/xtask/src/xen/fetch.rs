// SPDX-License-Identifier: MIT
//! Xen's source: Debian's package at the pinned version, unpacked. It unpacks other
//! source packages too.
//!
//! Of a package of another release than ours only the upstream part is pinned: Debian's
//! changes are for that release.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use ::pins::Pins;
use anyhow::{Result, ensure};
use steps::{Cx, Steps, files};

use super::choice::listing;
use super::version::Version;
use crate::debian::pins;

/// Fetches and unpacks a version's source; a given tree is already in place. Returns
/// the key.
pub(crate) fn source(steps: &Steps, version: Version) -> Result<String> {
    let tree = steps.dirs.target.join(version.source());
    if version == Version::Given {
        return Ok(listing(&tree)?.finish());
    }
    let pins = steps.pins(&format!("xen-{}", version.number()))?;
    ensure!(
        pins.version().starts_with(version.number()),
        "Xen {} is pinned at {}",
        version.number(),
        pins.version()
    );
    steps.run(
        &version.step("xen source"),
        pins::key(&pins),
        &[&tree],
        |cx| unpack(cx, &pins, &cx.dirs.target.join("xen/download"), &tree),
    )
}

/// Fetches a source package, with its files' names in `download`, and unpacks
/// it to `tree`.
pub(crate) fn unpack(cx: &Cx, pins: &Pins, download: &Path, tree: &Path) -> Result<String> {
    fs::create_dir_all(download)?;
    let mut files = Vec::new();
    for (pin, file) in pins.0.iter().zip(cx.fetch(pins)?) {
        let named = download.join(pin.file());
        if named.symlink_metadata().is_ok() {
            fs::remove_file(&named)?;
        }
        symlink(file, &named)?;
        files.push(named);
    }
    let described = |file: &&std::path::PathBuf| file.extension().is_some_and(|end| end == "dsc");
    let mut unpack = if let Some(dsc) = files.iter().find(described) {
        let mut unpack = Command::new("dpkg-source");
        unpack.arg("--extract").arg(dsc).arg(tree);
        unpack
    } else {
        let mut unpack = Command::new("tar");
        unpack.arg("--extract").arg("--file").arg(&files[0]);
        let mut folder = OsString::from("--one-top-level=");
        folder.push(tree);
        unpack.args(["--strip-components", "1"]).arg(folder);
        unpack
    };
    files::remove(tree)?;
    cx.run(&mut unpack)?;
    Ok(format!("{} unpacked", pins.version()))
}
