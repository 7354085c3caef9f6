// SPDX-License-Identifier: MIT
//! `cargo xtask doctor`: checks prerequisites, and prints how to install what is
//! missing.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde::Serialize;
use steps::{Dirs, Steps, cargo};

use crate::debian::apt;
use crate::debian::host;
use crate::debian::packages::Packages;
use crate::debian::pins;

/// Free space for a first whole test, in MiB; most of it is cargo's.
const DISK: u64 = 10 << 10;

/// Memory of the emulated machine and of the programs beside it, in MiB.
const MEMORY: u64 = 3800;

/// Check prerequisites
#[derive(clap::Args)]
pub(crate) struct Options {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    id: &'static str,
    ok: bool,
    detail: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    /// The result, and how to fix it if it is not `ok`.
    fn new(id: &'static str, ok: bool, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            id,
            ok,
            detail: detail.into(),
            fix: (!ok).then(|| fix.into()),
        }
    }
}

impl Options {
    /// Checks everything. Returns whether nothing is missing.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let packages = Packages::read();
        let findings = [
            system(&packages),
            // git lists files and makes patches.
            program("git", &apt::install_by_hand(&["git".into()])),
            // Installs the pinned compiler, its targets, and further needs of `miri`,
            // `coverage` and `crate`.
            program(
                "rustup",
                "install it (https://rustup.rs): rust-toolchain.toml lists what it fetches",
            ),
            rust_targets(),
            crates(steps),
            tools("tools", &packages.host.packages())?,
            tools("docs tools", &packages.docs.packages)?,
            disk(&steps.dirs),
            memory(),
            pinned(steps),
        ];
        let well = findings.iter().all(|finding| finding.ok);
        if self.json {
            let report = serde_json::json!({ "version": 1, "ok": well, "findings": findings });
            println!("{report:#}");
            return Ok(well);
        }
        for finding in &findings {
            let mark = if finding.ok { "ok      " } else { "MISSING " };
            println!("{mark} {:<14} {}", finding.id, finding.detail);
            if let Some(fix) = &finding.fix {
                println!("{:24}{fix}", "");
            }
        }
        Ok(well)
    }
}

fn system(packages: &Packages) -> Finding {
    let releases = &packages.debian.hosts;
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let mut lines = text.lines();
    let codename = lines
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("a system without a name");
    let architecture = host::architecture();
    let known = releases.iter().any(|release| release == codename)
        && ["amd64", "arm64"].contains(&architecture);
    let releases = releases.join(" or ");
    let fix = format!("use Debian {releases} on amd64 or arm64, or a container of it");
    Finding::new(
        "system",
        known,
        format!("{codename} on {architecture}"),
        fix,
    )
}

/// A program, found by its version output.
fn program(name: &'static str, fix: &str) -> Finding {
    let version = version(name);
    let detail = version.as_deref().unwrap_or("not found");
    Finding::new(name, version.is_some(), detail, fix)
}

/// A program's version output.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().next().filter(|_| output.status.success())?;
    Some(said.to_owned())
}

/// Whether every crate is here, or can be downloaded.
fn crates(steps: &Steps) -> Finding {
    let fetch = |more: &[&str]| {
        steps.quietly("doctor crates", |cx| {
            cx.run(
                cargo::locked("fetch")
                    .args(["--target", &host::rust_target()])
                    .args(more)
                    .current_dir(&cx.dirs.root),
            )
        })
    };
    if fetch(&["--offline"]).is_ok() {
        return Finding::new("crates", true, "all are present", "");
    }
    let fetched = fetch(&[]).map_err(|error| error.to_string());
    let detail = match &fetched {
        Ok(()) => "fetched",
        Err(error) => error.lines().last().unwrap_or_default(),
    };
    let fix = "connect this machine, or set cargo's proxy or mirror";
    Finding::new("crates", fetched.is_ok(), detail, fix)
}

fn rust_targets() -> Finding {
    let missing = host::missing_rust_targets().join(" ");
    let fix = format!("rustup target add {missing}");
    match missing.as_str() {
        "" => Finding::new("rust targets", true, "installed", ""),
        _ => Finding::new("rust targets", false, missing, fix),
    }
}

/// Debian packages to be installed.
fn tools(id: &'static str, wanted: &[String]) -> Result<Finding> {
    let missing = apt::missing_on_host(wanted)?;
    if missing.is_empty() {
        let detail = format!("all {} packages are installed", wanted.len());
        return Ok(Finding::new(id, true, detail, ""));
    }
    let by_hand = apt::install_by_hand(&missing);
    let fix = if rustix::process::geteuid().is_root() {
        format!("the first command that needs them installs them, or by hand: {by_hand}")
    } else {
        format!("installing needs root: {by_hand}")
    };
    Ok(Finding::new(id, false, missing.join(" "), fix))
}

fn disk(dirs: &Dirs) -> Finding {
    let target = dirs.target.display();
    let folder = dirs.target.ancestors().find(|folder| folder.exists());
    let Some(Ok(space)) = folder.map(rustix::fs::statvfs) else {
        return Finding::new("disk", false, "unknown", format!("make {target} writable"));
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize) >> 20;
    let enough = free >= DISK || dirs.target.join("xen/4.17").exists();
    let fix = format!("{DISK} MiB are needed; CARGO_TARGET_DIR moves the folder");
    Finding::new("disk", enough, format!("{free} MiB free for {target}"), fix)
}

fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib >> 10);
    let fix = format!("the emulated machine needs {MEMORY} MiB");
    let detail = format!("{available} MiB available");
    Finding::new("memory", available >= MEMORY, detail, fix)
}

/// Whether every pinned file is here, or can be downloaded.
fn pinned(steps: &Steps) -> Finding {
    match pins::check(steps) {
        Ok(pins) => Finding::new(
            "pins",
            true,
            format!("all {pins} files are in the store"),
            "",
        ),
        Err(error) => {
            let error = format!("{error:#}");
            let (what, fix) = error.split_once('\n').unwrap_or((&error, ""));
            Finding::new("pins", false, what, fix)
        }
    }
}
