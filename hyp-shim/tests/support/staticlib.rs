// SPDX-License-Identifier: MIT
//! The library under test, as linked by C.

use std::path::PathBuf;
use std::process::Command;

use crate::support;

/// Builds the library, for the host or for the hypervisor.
pub(crate) fn build(target: Option<&str>) -> PathBuf {
    let target_dir = support::scratch().join("staticlib");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--locked",
        "--quiet",
        "--package",
        "hyp-shim",
        "--lib",
        "--target-dir",
    ]);
    cargo
        .arg(&target_dir)
        .current_dir(support::shim().parent().expect("the repository's root"));
    let built = match target {
        None => target_dir.join("debug"),
        Some(target) => {
            cargo.args(["--profile", "hypervisor", "--target", target]);
            cargo.arg("--no-default-features");
            target_dir.join(target).join("hypervisor")
        }
    };
    support::run(&mut cargo);
    built.join("libhyp_shim.a")
}
