// SPDX-License-Identifier: MIT
//! The embedded demo: no QEMU, no root. It is a separate program, so that this one is
//! built without the device and the daemon.

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
                .args(cargo::WORKSPACE)
                .args(["--example", "embedded"])
                .current_dir(&steps.dirs.root),
        )?;
        // Its exit status repeats its outcome.
        let output = Command::new(cx.dirs.target.join("debug/examples/embedded")).output()?;
        let outcome: Outcome = serde_json::from_slice(&output.stdout).with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!(
                "the embedded demo printed no result ({}): {said}",
                output.status
            )
        })?;
        Ok((summary(&outcome), outcome))
    })
}
