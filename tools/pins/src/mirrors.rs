// SPDX-License-Identifier: MIT
//! The mirrors of Debian's main archive that this machine's apt uses.

use std::process::Command;

use anyhow::{Result, ensure};

/// Releases that are only in the main archive.
const RELEASES: [&str; 4] = ["bookworm", "trixie", "stable", "oldstable"];

/// Runs one of apt's programs. Returns whether it succeeded, and its output.
pub type Run<'a> = &'a dyn Fn(&mut Command) -> Result<(bool, String)>;

/// The same for a program that must succeed. Returns its output.
pub(crate) fn output(run: Run, command: &mut Command) -> Result<String> {
    let (succeeded, said) = run(command.env("LC_ALL", "C"))?;
    let last = said.trim_end().lines().last().unwrap_or_default();
    ensure!(
        succeeded,
        "`{}` failed: {last}",
        command.get_program().display()
    );
    Ok(said)
}

/// Each mirror's root.
pub fn mirrors(run: Run) -> Result<Vec<String>> {
    let mut list = Command::new("apt-get");
    list.args(["indextargets", "--no-release-info", "--format"]);
    list.args([
        "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
        "Created-By: Packages",
    ]);
    let mut mirrors: Vec<String> = Vec::new();
    for line in output(run, &mut list)?.lines() {
        if let [mirror, release, "main"] = line.split('|').collect::<Vec<_>>()[..]
            && RELEASES.contains(&release)
        {
            let mirror = mirror.trim_end_matches('/').to_owned();
            if !mirrors.contains(&mirror) {
                mirrors.push(mirror);
            }
        }
    }
    ensure!(
        !mirrors.is_empty(),
        "this machine's apt has no `main` of {} among its sources",
        RELEASES.join(", ")
    );
    Ok(mirrors)
}
