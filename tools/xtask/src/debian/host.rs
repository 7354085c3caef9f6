// SPDX-License-Identifier: MIT
//! This machine: the tools and the Rust targets that the other steps need.

use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use pins::Store;
use steps::{Dirs, Steps};

use crate::debian::apt;
use crate::debian::packages::Packages;

/// Rust's target for code without an operating system: hypervisor and guests.
pub(crate) const BARE_TARGET: &str = "aarch64-unknown-none-softfloat";

/// The compiler and its targets, as rustup reads them.
const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");

/// Held while packages are installed.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Debian's name of this machine's architecture.
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

/// make, with compilers that keep their results.
pub(crate) fn make(dirs: &Dirs) -> Result<Command> {
    let mut make = Command::new("make");
    with_cache(&mut make, dirs, &[])?;
    Ok(make)
}

/// Lets the compilers that a command starts keep their results in the store (ccache):
/// another variant, tree or clone compiles only what differs. Without ccache the
/// compilers are called directly. Programs in `folders` come before all others.
pub(crate) fn with_cache(command: &mut Command, dirs: &Dirs, folders: &[&Path]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = folders.iter().map(|folder| folder.to_path_buf());
    let compilers = iter::once(PathBuf::from("/usr/lib/ccache"));
    let all = folders.chain(compilers).chain(std::env::split_paths(&path));
    command
        .env("PATH", std::env::join_paths(all)?)
        .env("CCACHE_DIR", Store::of_user()?.folder().join("ccache"))
        .env("CCACHE_BASEDIR", &dirs.target)
        .env("CCACHE_NOHASHDIR", "1")
        .env("CCACHE_COMPILERCHECK", "content")
        .env("CCACHE_MAXSIZE", "2G");
    Ok(())
}

/// Installs all missing tools and targets.
pub(crate) fn prepare(steps: &Steps) -> Result<()> {
    install_rust_targets(steps)?;
    tools(steps)
}

/// Installs the tools of `packages.toml` that are missing.
pub(crate) fn tools(steps: &Steps) -> Result<()> {
    install(steps, "tools", &Packages::read().host.packages())
}

/// Installs the missing ones, as a step of this name.
pub(crate) fn install(steps: &Steps, step: &str, wanted: &[String]) -> Result<()> {
    steps.always(step, |cx| {
        let missing = apt::missing_on_host(wanted)?;
        if missing.is_empty() {
            return Ok(format!("all {} packages are installed", wanted.len()));
        }
        // Another step's installation also locks the package lists.
        let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        apt::install_on_host(cx, &missing)?;
        Ok(format!("{} packages installed", missing.len()))
    })
}

/// The Rust targets that are not installed; none without rustup, as cargo then reports
/// missing ones.
pub(crate) fn missing_rust_targets() -> Vec<String> {
    let Ok(output) = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output()
    else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let installed = |target: &String| text.lines().any(|line| line.trim() == target);
    let mut targets = rust_targets();
    targets.retain(|target| !installed(target));
    targets
}

/// All targets of the builds.
pub(crate) fn rust_targets() -> Vec<String> {
    let file: toml::Table = TOOLCHAIN.parse().expect("rustup reads it too");
    let targets = file["toolchain"]["targets"].clone();
    targets.try_into().expect("a list of names")
}

fn install_rust_targets(steps: &Steps) -> Result<()> {
    steps.always("rust targets", |cx| {
        let missing = missing_rust_targets();
        if missing.is_empty() {
            return Ok("installed".into());
        }
        cx.run(
            Command::new("rustup")
                .args(["target", "add"])
                .args(&missing)
                .current_dir(&steps.dirs.root),
        )?;
        Ok(format!("{} installed", missing.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps::files::list;

    #[test]
    fn every_target_that_is_built_for_is_installed() {
        let sources = list(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
        let mut named = Vec::new();
        for source in sources {
            let text = std::fs::read_to_string(source).unwrap_or_default();
            let words = text.split('"').map(str::to_owned);
            // The compiler's own target, of -gnu, is always installed.
            named.extend(words.filter(|word| {
                let system = word.split_once("-unknown-").map(|(_, system)| system);
                matches!(system, Some("linux-musl" | "none-softfloat"))
            }));
        }
        assert!(named.len() >= 3, "{named:?}");
        let targets = rust_targets();
        named.retain(|target| !targets.contains(target));
        assert!(named.is_empty(), "not in rust-toolchain.toml: {named:?}");
    }
}
