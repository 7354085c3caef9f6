// SPDX-License-Identifier: MIT
//! `cargo xtask hosts`: the demo and the quick tests in a minimal system of each Debian
//! release that can build: a clean clone of the commit, the compilers, crates and
//! pinned files of this machine, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use steps::{Key, Steps, files};

use crate::debian::host;
use crate::debian::packages::Packages;
use crate::debian::system;

/// The commands to run in each.
const COMMANDS: [&[&str]; 2] = [&["demo"], &["test", "--quick"]];

/// The packages before the first command.
const INCLUDED: &str = "ca-certificates,git";

/// Enters a root with the folders that this machine shares, each under its own path, as
/// links may lead from one into another. The mounts and all processes end with their
/// namespace.
const ENTER: &str = "\
root=$1 cargo=$2 rustup=$3 store=$4; shift 4
mount --make-rprivate /
mount -t proc proc \"$root/proc\"
mount --rbind /sys \"$root/sys\"
mount --rbind /dev \"$root/dev\"
for shared in \"$cargo\" \"$rustup\" \"$store\"; do
    mkdir -p \"$root$shared\"
    mount --bind \"$shared\" \"$root$shared\"
done
exec chroot \"$root\" env -i HOME=/root LANG=C.UTF-8 \\
    CARGO_HOME=\"$cargo\" RUSTUP_HOME=\"$rustup\" VPL011_STORE=\"$store\" \\
    PATH=\"$cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\" \\
    sh -c 'cd /src && exec \"$@\"' sh \"$@\"
";

/// Run the demo and the quick tests in a minimal system of each Debian release
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these releases
    #[arg(value_name = "RELEASE")]
    releases: Vec<String>,
}

impl Options {
    /// Runs them. Returns whether everything passed on all releases.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let packages = Packages::read();
        let known = &packages.debian.hosts;
        for release in &self.releases {
            ensure!(
                known.contains(release),
                "no release `{release}`: there are {}",
                known.join(", ")
            );
        }
        ensure!(
            rustix::process::geteuid().is_root(),
            "making a system needs root"
        );
        host::install(steps, "hosts tools", &packages.hosts.packages)?;
        let mut passed = true;
        for release in known {
            if self.releases.is_empty() || self.releases.contains(release) {
                passed &= run(steps, release)?;
            }
        }
        Ok(passed)
    }
}

/// Whether all commands passed on a release.
fn run(steps: &Steps, release: &str) -> Result<bool> {
    let root = steps.dirs.target.join("hosts").join(release);
    let key = Key::default().text(INCLUDED);
    steps.run(&format!("system {release}"), key, &[&root], |cx| {
        system::make(cx, release, INCLUDED, &root)?;
        Ok("made".into())
    })?;
    let mut passed = true;
    steps.always(&format!("clone {release}"), |cx| {
        let clone = root.join("src");
        files::remove(&clone)?;
        let mut git = Command::new("git");
        git.args(["clone", "--quiet"]).arg(&cx.dirs.root);
        cx.run(git.arg(&clone))?;
        Ok("of what is committed".into())
    })?;
    for command in COMMANDS {
        let name = format!("{release}: {}", command.join(" "));
        let ran = steps.always(&name, |cx| {
            let mut enter = enter(&root)?;
            enter.args(["cargo", "xtask"]).args(command);
            cx.run(&mut enter)?;
            let log = fs::read_to_string(cx.log())?;
            let last = log.lines().last().unwrap_or_default();
            Ok(last.trim().to_owned())
        });
        if let Err(error) = ran {
            println!("    FAILED {name}: {error:#}");
            passed = false;
        }
    }
    Ok(passed)
}

/// A command to which the command inside the root is added.
fn enter(root: &Path) -> Result<Command> {
    let home = |variable: &str, folder: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(folder)))
            .with_context(|| format!("neither {variable} nor HOME is set"))
    };
    let mut enter = Command::new("unshare");
    enter.args(["--mount", "--pid", "--fork", "--kill-child"]);
    enter.args(["sh", "-ec", ENTER, "sh"]).arg(root);
    enter.arg(home("CARGO_HOME", ".cargo")?);
    enter.arg(home("RUSTUP_HOME", ".rustup")?);
    enter.arg(pins::Store::of_user()?.folder());
    Ok(enter)
}
