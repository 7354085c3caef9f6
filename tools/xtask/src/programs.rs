// SPDX-License-Identifier: MIT
//! Daemons of other people that tests run by hand. Installed they would start,
//! now and at every boot, so they are only unpacked.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::Packages;
use crate::step::{Key, Steps};

/// Makes `target/programs`, in which the tests of `viewers` look.
pub(crate) fn make(steps: &Steps, packages: &Packages) -> Result<()> {
    let root = steps.dirs.target.join("programs");
    let wanted = &packages.programs.packages;
    let key = Key::default().text(wanted.join(" "));
    steps.run("programs", key, &[&root], |cx| {
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let fetched = root.join("packages");
        fs::create_dir_all(&fetched)?;
        cx.run(
            Command::new("apt-get")
                .arg("download")
                .args(wanted)
                .current_dir(&fetched),
        )
        .context("packages for this machine (after `apt-get update`)")?;
        for package in fs::read_dir(&fetched)? {
            cx.run(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .arg(package?.path())
                    .arg(&root),
            )?;
        }
        Ok(format!("{} packages unpacked", wanted.len()))
    })?;
    Ok(())
}
