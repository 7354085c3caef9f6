// SPDX-License-Identifier: MIT
//! A minimal system of a Debian release in a folder. It uses this machine's network.
//! Making one needs root.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use steps::{Cx, files, write};

/// Makes a system, with packages beside the essential ones, separated by commas.
pub(crate) fn make(cx: &Cx, release: &str, included: &str, root: &Path) -> Result<()> {
    files::empty(root)?;
    let mirrors = cx.with_fetcher(|fetcher| pins::mirrors(fetcher.run))?;
    let mut bootstrap = Command::new("mmdebstrap");
    bootstrap.args(["--variant=minbase", "--include", included, release]);
    cx.run(bootstrap.arg(root).arg(&mirrors[0]))?;
    for file in ["etc/resolv.conf", "etc/hosts"] {
        fs::copy(Path::new("/").join(file), root.join(file))?;
    }
    let settings = cx.output(Command::new("apt-config").arg("dump"))?;
    let is_network = |line: &&str| {
        ["http", "https", "Check-Date", "Check-Valid-Until"]
            .iter()
            .any(|name| line.starts_with(&format!("Acquire::{name}")))
    };
    let settings: Vec<&str> = settings.lines().filter(is_network).collect();
    let file = root.join("etc/apt/apt.conf.d/99host");
    write(&file, settings.join("\n") + "\n")
}
