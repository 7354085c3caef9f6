// SPDX-License-Identifier: MIT
//! Programs from crates.io that checks and pages use.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::cargo;
use crate::key::Key;
use crate::step::Steps;

/// Builds a program of crates.io, of this version and with these cargo options, under
/// `target/tools`.
pub fn install(steps: &Steps, name: &str, version: &str, options: &[&str]) -> Result<PathBuf> {
    let root = steps.dirs.target.join("tools");
    let program = root.join("bin").join(name);
    let key = Key::default().text(version).text(options.join(" "));
    steps.run(name, key, &[&program], |cx| {
        cx.run(
            Command::new(cargo::program())
                .args(["install", "--locked", "--root"])
                .arg(&root)
                .arg(format!("{name}@{version}"))
                .args(options)
                .env("CARGO_TARGET_DIR", root.join("build"))
                .current_dir(&steps.dirs.target),
        )?;
        Ok(format!("{version} installed"))
    })?;
    Ok(program)
}
