// SPDX-License-Identifier: MIT
//! This machine: the tools and the Rust targets that the other steps need.

use std::process::Command;

use anyhow::Result;

use crate::debian::apt;
use crate::debian::packages::Packages;
use crate::engine::step::Steps;

/// Rust's targets: for the hypervisor, and for programs in dom0 and the guest.
pub(crate) const RUST_TARGETS: [&str; 2] = [
    "aarch64-unknown-none-softfloat",
    "aarch64-unknown-linux-musl",
];

/// This machine's architecture, as Debian calls it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Rust's target for programs of this machine.
pub(crate) fn rust_target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Installs whatever is missing.
pub(crate) fn prepare(steps: &Steps) -> Result<()> {
    rust_targets(steps)?;
    tools(steps)
}

/// Installs the tools of `packages.toml` that are missing.
pub(crate) fn tools(steps: &Steps) -> Result<()> {
    install(steps, "tools", &Packages::read().host.packages())
}

/// Installs those that are missing, as a step of this name.
pub(crate) fn install(steps: &Steps, step: &str, wanted: &[String]) -> Result<()> {
    steps.always(step, |cx| {
        let missing = apt::missing_on_host(wanted)?;
        if missing.is_empty() {
            return Ok((format!("all {} packages are installed", wanted.len()), ()));
        }
        apt::install_on_host(cx, &missing)?;
        Ok((format!("{} packages installed", missing.len()), ()))
    })
}

/// The Rust targets that are not installed; none where rustup is not in use,
/// as cargo will say then what it lacks.
pub(crate) fn missing_rust_targets() -> Vec<&'static str> {
    let Ok(output) = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output()
    else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    RUST_TARGETS
        .into_iter()
        .filter(|target| !text.lines().any(|line| line.trim() == *target))
        .collect()
}

fn rust_targets(steps: &Steps) -> Result<()> {
    steps.always("rust targets", |cx| {
        let missing = missing_rust_targets();
        if missing.is_empty() {
            return Ok(("installed".into(), ()));
        }
        cx.run(
            Command::new("rustup")
                .args(["target", "add"])
                .args(&missing)
                .current_dir(&steps.dirs.root),
        )?;
        Ok((format!("{} installed", missing.join(", ")), ()))
    })
}
