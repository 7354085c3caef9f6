// SPDX-License-Identifier: MIT
//! Xen's source: Debian's package at the pinned version, unpacked. And the
//! same of another source package.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::apt::Private;
use crate::packages::{Packages, Source};
use crate::step::{Cx, Key, Steps};

/// Fetches and unpacks the source to `target/xen/src`. Returns the step's key.
pub(crate) fn source(steps: &Steps, packages: &Packages) -> Result<String> {
    let tree = steps.dirs.xen("src");
    let key = Key::default()
        .text(&packages.xen.source)
        .text(&packages.xen.version);
    steps.run("xen source", key, &[&tree], |cx| {
        unpack(cx, packages, &packages.xen, &cx.dirs.xen("download"), &tree)
    })
}

/// Fetches a source package to `download` and unpacks it to `tree`. Says which
/// version it was.
pub(crate) fn unpack(
    cx: &Cx,
    packages: &Packages,
    source: &Source,
    download: &Path,
    tree: &Path,
) -> Result<String> {
    let private = Private::open(cx, cx.dirs, &packages.debian.release)?;
    let (dsc, version) = private.source(cx, &source.source, &source.version, download)?;
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    cx.run(
        Command::new("dpkg-source")
            .arg("--extract")
            .arg(dsc)
            .arg(tree),
    )?;
    Ok(if version == source.version {
        format!("{version} fetched and unpacked")
    } else {
        format!(
            "{version} unpacked ({} is not served any more)",
            source.version
        )
    })
}
