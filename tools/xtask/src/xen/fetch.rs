// SPDX-License-Identifier: MIT
//! Xen's source: Debian's package at the pinned version, unpacked.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::apt::Private;
use crate::packages::Packages;
use crate::step::{Cx, Key, Steps};

/// Fetches and unpacks the source to `target/xen/src`. Returns the step's key.
pub(crate) fn source(steps: &Steps, packages: &Packages) -> Result<String> {
    let tree = steps.dirs.xen("src");
    let key = Key::default()
        .text(&packages.xen.source)
        .text(&packages.xen.version);
    steps.run("xen source", key, &[&tree], |cx| unpack(cx, packages))
}

fn unpack(cx: &Cx, packages: &Packages) -> Result<String> {
    let tree = cx.dirs.xen("src");
    let private = Private::open(cx, cx.dirs, &packages.debian.release)?;
    let xen = &packages.xen;
    let (dsc, version) = private.source(cx, &xen.source, &xen.version, &cx.dirs.xen("download"))?;
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    cx.run(
        Command::new("dpkg-source")
            .arg("--extract")
            .arg(dsc)
            .arg(&tree),
    )?;
    Ok(if version == xen.version {
        format!("{version} fetched and unpacked")
    } else {
        format!(
            "{version} unpacked ({} is not served any more)",
            xen.version
        )
    })
}
