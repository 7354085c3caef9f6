// SPDX-License-Identifier: MIT
//! `cargo xtask miri`: the hypervisor's Rust side, run by an interpreter that checks
//! every access to memory, and the tests of the device, the ring and xenstore's wire
//! that it finishes in seconds. Only nightly compilers include it, so a nightly is
//! pinned beside the stable one.

use std::process::Command;

use anyhow::{Context, Result};
use steps::{Key, Steps};

/// The nightly closest to the successor of the pinned stable compiler.
const NIGHTLY: &str = "nightly-2026-05-20";

/// The tests to run. The fake of xen-io shares memory and sets up sockets by ioctl,
/// which Miri does not support; it supports the wire protocol.
const SETS: [&[&str]; 4] = [
    &["--package=hyp-shim", "--test=entry", "--test=snapshot"],
    &["--package=vpl011", "--test=model", "--", "held::"],
    &[
        "--package=vpl011",
        "--test=ring",
        "--",
        "hostile::a_lie",
        "hostile::a_peer",
        "hostile::a_span",
        "hostile::an_event",
    ],
    &["--package=xen-io", "--lib", "--", "wire::"],
];

/// Run the unsafe code of the hypervisor's side under Miri
#[derive(clap::Args)]
pub(crate) struct Options;

pub(crate) fn run(steps: &Steps) -> Result<()> {
    steps.run("miri toolchain", Key::default().text(NIGHTLY), &[], |cx| {
        cx.run(
            Command::new("rustup")
                .args(["toolchain", "install", NIGHTLY, "--profile", "minimal"])
                .args(["--component", "miri", "--component", "rust-src"]),
        )
        .with_context(|| format!("rustup has to fetch {NIGHTLY}"))?;
        Ok(format!("{NIGHTLY} installed"))
    })?;
    steps.always("miri", |cx| {
        for arguments in SETS {
            cx.run(
                Command::new("rustup")
                    .args(["run", NIGHTLY, "cargo", "miri", "test", "--locked"])
                    .args(arguments)
                    .env("CARGO_TARGET_DIR", cx.dirs.target.join("miri"))
                    .current_dir(&cx.dirs.root),
            )?;
        }
        Ok("no undefined behaviour, no data race".into())
    })
}
