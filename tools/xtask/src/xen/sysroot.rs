// SPDX-License-Identifier: MIT
//! The sysroot: Debian's arm64 packages unpacked, to compile the toolstack
//! against and to take the images' libraries and busybox from.

use std::fs;

use anyhow::Result;

use crate::debian::apt::{Private, extract};
use crate::debian::packages::Packages;
use crate::engine::step::{Key, Steps};

/// Makes `target/sysroot`. Returns the step's key.
pub(crate) fn make(steps: &Steps, packages: &Packages) -> Result<String> {
    let root = steps.dirs.sysroot();
    let wanted = &packages.sysroot.packages;
    let key = Key::default()
        .text(&packages.debian.release)
        .text(wanted.join(" "));
    steps.run("arm64 packages", key, &[&root], |cx| {
        let private = Private::open(cx, cx.dirs, &packages.debian.release)?;
        let debs = private.download(cx, wanted)?;
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir_all(&root)?;
        for deb in &debs {
            extract(cx, deb, &root)?;
        }
        Ok(format!("{} packages fetched and unpacked", debs.len()))
    })
}
