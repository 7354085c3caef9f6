// SPDX-License-Identifier: MIT
//! Checks that a guest sees the same with the fast trap and without, by Xen's own
//! functions on this machine: `hyp-shim/tests/vgic.rs`, on a tree of a version.

use anyhow::{Result, ensure};
use steps::{Steps, cargo};

use super::fetch;
use super::tree::Tree;
use super::version::{Flavour, Version, Which};

/// Runs the tests on a version.
pub(crate) fn check(steps: &Steps, version: Version) -> Result<()> {
    let source = fetch::source(steps, version)?;
    let flavour = Flavour::Ours;
    let tree = Tree::prepare(steps, &source, Which { version, flavour })?;
    steps.always(&version.step("xen traps"), |cx| {
        cx.run(
            cargo::locked("test")
                .args(["--package", "hyp-shim", "--test", "vgic"])
                .env("VPL011_XEN_TREE", &tree.path)
                .current_dir(&cx.dirs.root),
        )?;
        let log = std::fs::read_to_string(cx.log())?;
        ensure!(log.contains("4 passed; 0 failed; 0 ignored"), "not all ran");
        Ok("4 tests passed".into())
    })
}
