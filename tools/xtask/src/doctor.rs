// SPDX-License-Identifier: MIT
//! `cargo xtask doctor`: what this machine lacks, and how to mend it.

use std::fs;
use std::process::Command;

use anyhow::Result;
use serde::Serialize;
use steps::{Dirs, Steps, cargo};

use crate::debian::apt;
use crate::debian::host;
use crate::debian::packages::Packages;
use crate::debian::pins;

/// Free space that a first whole test takes, in MiB; most of it is cargo's.
const DISK: u64 = 10 << 10;

/// Memory of the emulated machine and of what runs beside it, in MiB.
const MEMORY: u64 = 3800;

/// Check prerequisites
#[derive(clap::Args)]
pub(crate) struct Options {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    id: &'static str,
    ok: bool,
    detail: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn good(id: &'static str, detail: impl Into<String>) -> Self {
        Self {
            id,
            ok: true,
            detail: detail.into(),
            fix: None,
        }
    }

    fn bad(id: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            id,
            ok: false,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }
}

impl Options {
    /// Looks at everything. Whether nothing is missing.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let packages = Packages::read();
        let findings = [
            system(&packages),
            git(),
            rustup(),
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
    let codename = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("a system of unknown name");
    let architecture = host::architecture();
    let detail = format!("{codename} on {architecture}");
    if releases.iter().any(|release| release == codename)
        && ["amd64", "arm64"].contains(&architecture)
    {
        Finding::good("system", detail)
    } else {
        let releases = releases.join(" or ");
        let fix = format!("use Debian {releases} on amd64 or arm64, or a container of it");
        Finding::bad("system", detail, fix)
    }
}

/// Files are listed, and patches made, by git.
fn git() -> Finding {
    match version("git") {
        Some(version) => Finding::good("git", version),
        None => Finding::bad("git", "not there", apt::install_by_hand(&["git".into()])),
    }
}

/// Brings the pinned compiler, its targets, and what `miri`, `coverage` and
/// `crate` want besides.
fn rustup() -> Finding {
    match version("rustup") {
        Some(version) => Finding::good("rustup", version),
        None => Finding::bad(
            "rustup",
            "not there",
            "install it (https://rustup.rs): rust-toolchain.toml says what it fetches",
        ),
    }
}

/// What a program says of its version.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().next().filter(|_| output.status.success())?;
    Some(said.to_owned())
}

/// Whether every crate is here, or can be had.
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
        return Finding::good("crates", "all of them are here");
    }
    match fetch(&[]) {
        Ok(()) => Finding::good("crates", "fetched"),
        Err(error) => Finding::bad(
            "crates",
            error.to_string().lines().last().unwrap_or_default(),
            "connect this machine, or tell cargo of its proxy or mirror",
        ),
    }
}

fn rust_targets() -> Finding {
    let missing = host::missing_rust_targets();
    if missing.is_empty() {
        return Finding::good("rust targets", "installed");
    }
    let missing = missing.join(" ");
    Finding::bad(
        "rust targets",
        &missing,
        format!("rustup target add {missing}"),
    )
}

/// Packages of Debian's that are to be installed.
fn tools(id: &'static str, wanted: &[String]) -> Result<Finding> {
    let missing = apt::missing_on_host(wanted)?;
    if missing.is_empty() {
        return Ok(Finding::good(
            id,
            format!("all {} packages are installed", wanted.len()),
        ));
    }
    let by_hand = apt::install_by_hand(&missing);
    let fix = if rustix::process::geteuid().is_root() {
        format!("the first command that wants them installs them, or by hand: {by_hand}")
    } else {
        format!("installing needs root: {by_hand}")
    };
    Ok(Finding::bad(id, missing.join(" "), fix))
}

fn disk(dirs: &Dirs) -> Finding {
    let folder = dirs.target.ancestors().find(|folder| folder.exists());
    let Some(Ok(space)) = folder.map(rustix::fs::statvfs) else {
        return Finding::bad(
            "disk",
            "unknown",
            format!("make {} writable", dirs.target.display()),
        );
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize) >> 20;
    let detail = format!("{free} MiB free for {}", dirs.target.display());
    if free >= DISK || dirs.target.join("xen/4.17").exists() {
        Finding::good("disk", detail)
    } else {
        Finding::bad(
            "disk",
            detail,
            format!("{DISK} MiB are needed; CARGO_TARGET_DIR moves the folder"),
        )
    }
}

fn memory() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib >> 10);
    let detail = format!("{available} MiB available");
    if available >= MEMORY {
        Finding::good("memory", detail)
    } else {
        Finding::bad(
            "memory",
            detail,
            format!("the emulated machine needs {MEMORY} MiB"),
        )
    }
}

/// Whether every pinned file is here, or can be had.
fn pinned(steps: &Steps) -> Finding {
    match pins::check(steps) {
        Ok(pins) => Finding::good("pins", format!("all {pins} files are in the store")),
        Err(error) => {
            let error = format!("{error:#}");
            let (what, fix) = error.split_once('\n').unwrap_or((&error, ""));
            Finding::bad("pins", what, fix)
        }
    }
}
