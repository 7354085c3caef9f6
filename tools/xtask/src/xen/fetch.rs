// SPDX-License-Identifier: MIT
//! Xen's source: Debian's package at the pinned version, unpacked. And the
//! same of another source package.
//!
//! Of a package of another release than ours only the upstream part is taken:
//! what Debian does to it is for that release, and a mirror has been seen to
//! serve it while the file that describes the package was gone.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Version;
use crate::debian::apt::Private;
use crate::debian::packages::{Packages, Source};
use crate::engine::step::{Cx, Key, Steps};

/// Fetches and unpacks a version's source. Returns the step's key.
pub(crate) fn source(steps: &Steps, packages: &Packages, version: Version) -> Result<String> {
    let tree = steps.dirs.xen(version.source());
    let source = packages
        .xen
        .get(&version)
        .with_context(|| format!("packages.toml has no Xen {}", version.number()))?;
    let key = Key::default().text(&source.name).text(&source.version);
    steps.run(&version.step("xen source"), key, &[&tree], |cx| {
        unpack(cx, packages, source, &cx.dirs.xen("download"), &tree)
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
    let host = &packages.debian.release;
    let (name, pinned) = (&source.name, &source.version);
    let (mut unpack, version) = match &source.release {
        None => {
            let private = Private::open(cx, cx.dirs, host)?;
            let (dsc, version) = private.source(cx, name, pinned, download)?;
            let mut unpack = Command::new("dpkg-source");
            unpack.arg("--extract").arg(dsc).arg(tree);
            (unpack, version)
        }
        Some(release) => {
            let private = Private::of_sources(cx, cx.dirs, host, release)?;
            let (archive, version) = private.upstream(cx, name, pinned, download)?;
            let mut unpack = Command::new("tar");
            unpack.arg("--extract").arg("--file").arg(archive);
            let mut folder = OsString::from("--one-top-level=");
            folder.push(tree);
            unpack.args(["--strip-components", "1"]).arg(folder);
            (unpack, version)
        }
    };
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    cx.run(&mut unpack)?;
    Ok(if version == source.version {
        format!("{version} fetched and unpacked")
    } else {
        format!(
            "{version} unpacked ({} is not served any more)",
            source.version
        )
    })
}
