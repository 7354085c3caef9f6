// SPDX-License-Identifier: MIT
//! Cargo, always with the versions of `Cargo.lock`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The cargo that runs this program.
#[must_use]
pub fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A cargo command that builds: with the locked versions, or not at all.
#[must_use]
pub fn locked(command: &str) -> Command {
    let mut cargo = Command::new(program());
    cargo.args([command, "--locked"]);
    cargo
}

/// Selects crates and features as a whole run's tests do, also for a build of one
/// program or example: with other features cargo would compile dependencies again.
pub const WORKSPACE: [&str; 3] = [
    "--workspace",
    "--exclude=oracle",
    "--features=vpl011/serde,vpl011/vm-device",
];

/// Cargo's own folder; crates are unpacked below.
pub fn home() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    home.context("neither CARGO_HOME nor HOME is set")
}

/// A command that builds what leaves this machine, for a target and into cargo's target
/// folder: the same on each machine. Messages of panics name the crates' files, so the
/// path of cargo's folder is replaced.
pub fn portable(target: &str, into: &Path) -> Result<Command> {
    let flag = format!("--remap-path-prefix={}=/cargo", home()?.display());
    let mut cargo = locked("build");
    cargo.arg("--config");
    cargo.arg(format!("target.{target}.rustflags = [{flag:?}]"));
    cargo.args(["--target", target, "--target-dir"]).arg(into);
    Ok(cargo)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::files::list;

    /// Cargo commands that would take newer versions without `--locked`.
    const BUILD: [&str; 9] = [
        "bench", "build", "check", "clippy", "doc", "fetch", "install", "run", "test",
    ];

    fn is_unlocked(part: &str) -> bool {
        let words = part.split(';').next().unwrap_or_default();
        let mut verbs = BUILD.iter();
        verbs.any(|verb| words.contains(&format!("\"{verb}\""))) && !words.contains("\"--locked\"")
    }

    #[test]
    fn nothing_is_built_with_other_versions_than_the_locked_ones() {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut wrong = list(&tools).unwrap();
        wrong.retain(|path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let mut parts = text.split("Command::new(cargo::program())").skip(1);
            parts.any(is_unlocked)
        });
        assert!(wrong.is_empty(), "cargo without --locked: {wrong:?}");
        let alias = tools.join("../.cargo/config.toml");
        assert!(fs::read_to_string(alias).unwrap().contains("run --locked"));
    }
}
