// SPDX-License-Identifier: MIT
//! `cargo xtask crate`: checks that a registry accepts the crate `vpl011`, and that its
//! minimum compiler compiles it.

use std::process::Command;

use anyhow::{Context, Result};
use steps::{Key, Steps, cargo};

use crate::debian::host::BARE_TARGET;

/// The minimum compiler in `Cargo.toml`.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Check the crate vpl011 as published: packed, and with its minimum compiler
#[derive(clap::Args)]
pub(crate) struct Options;

pub(crate) fn run(steps: &Steps) -> Result<()> {
    steps.always("crate packed", |cx| {
        cx.run(
            cargo::locked("publish")
                .args(["--dry-run", "--allow-dirty"])
                .args(["--package", "vpl011"])
                .current_dir(&cx.dirs.root),
        )?;
        Ok("a registry would accept it".into())
    })?;
    let toolchain = format!("rust {OLDEST}");
    steps.run(&toolchain, Key::default(), &[], |cx| {
        cx.run(
            Command::new("rustup")
                .args(["toolchain", "install", OLDEST, "--profile", "minimal"])
                .args(["--target", BARE_TARGET]),
        )
        .with_context(|| format!("rustup has to fetch {OLDEST}"))?;
        Ok("installed".into())
    })?;
    steps.always("crate by it", |cx| {
        let check = |what: &[&str]| {
            cx.run(
                Command::new("rustup")
                    .args(["run", OLDEST, "cargo", "check", "--locked"])
                    .args(["--package", "vpl011"])
                    .args(what)
                    .env_remove("RUSTUP_TOOLCHAIN")
                    .env_remove("CARGO")
                    .env("CARGO_TARGET_DIR", cx.dirs.target.join("oldest"))
                    .current_dir(&cx.dirs.root),
            )
        };
        check(&["--lib", "--example", "toy_vmm"])?;
        check(&["--target", BARE_TARGET])?;
        Ok(format!("compiles, with {OLDEST}"))
    })
}
