// SPDX-License-Identifier: MIT
//! The mirrors of Debian's main archive that this machine's apt uses.

use std::process::Command;

use anyhow::{Result, ensure};

/// Releases that are in the main archive and in no other.
const RELEASES: [&str; 4] = ["bookworm", "trixie", "stable", "oldstable"];

/// Runs one of apt's programs. Gives whether it succeeded, and all that it
/// printed.
pub type Run<'a> = &'a dyn Fn(&mut Command) -> Result<(bool, String)>;

/// The same for one that must succeed. Gives what it printed.
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
