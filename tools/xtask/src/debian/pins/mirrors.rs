// SPDX-License-Identifier: MIT
//! The mirrors of Debian's main archive that this machine's apt uses.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::engine::step::Cx;

/// Releases that are in the main archive and in no other.
const RELEASES: [&str; 4] = ["bookworm", "trixie", "stable", "oldstable"];

/// Each mirror's root.
pub(crate) fn mirrors(cx: &Cx) -> Result<Vec<String>> {
    let text = cx.output(Command::new("apt-get").args([
        "indextargets",
        "--no-release-info",
        "--format",
        "$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
        "Created-By: Packages",
    ]))?;
    let mut mirrors: Vec<String> = Vec::new();
    for line in text.lines() {
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
