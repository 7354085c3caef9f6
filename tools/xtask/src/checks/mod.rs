// SPDX-License-Identifier: MIT
//! Checkers that other people make, each a command: too slow, or too much to
//! fetch, for every run of `cargo xtask test`.

pub(crate) mod audit;
pub(crate) mod coverage;
pub(crate) mod miri;
pub(crate) mod mutants;
pub(crate) mod published;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::dirs::cargo;
use crate::step::{Key, Steps};

/// Builds a program of crates.io, of that version and with those options of
/// cargo's, under `target/tools`.
pub(crate) fn install(
    steps: &Steps,
    name: &str,
    version: &str,
    options: &[&str],
) -> Result<PathBuf> {
    let root = steps.dirs.target.join("tools");
    let program = root.join("bin").join(name);
    let key = Key::default().text(version).text(options.join(" "));
    steps.run(name, key, &[&program], |cx| {
        cx.run(
            Command::new(cargo())
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
