// SPDX-License-Identifier: MIT
//! The embedded demo: no QEMU, no root. It is a program of its own, so that
//! this one need not be built with the device and the daemon in it.

use std::process::Command;

use anyhow::{Context, Result};
use e2e::report::Outcome;
use steps::{Steps, cargo};

use crate::rig::follow::summary;

/// Builds and runs it.
pub(crate) fn run(steps: &Steps) -> Result<Outcome> {
    steps.value("embedded demo", |cx| {
        cx.run(
            cargo::locked("build")
                .args(["--package", "vconsoled", "--example", "embedded"])
                .current_dir(&steps.dirs.root),
        )?;
        // Its status says again what its outcome says.
        let output = Command::new(cx.dirs.target.join("debug/examples/embedded")).output()?;
        let outcome: Outcome = serde_json::from_slice(&output.stdout).with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!(
                "the embedded demo has no outcome ({}): {said}",
                output.status
            )
        })?;
        Ok((summary(&outcome), outcome))
    })
}
