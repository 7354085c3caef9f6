// SPDX-License-Identifier: MIT
//! `cargo xtask audit`: the crates that everything is built from, by
//! cargo-deny: their licences, where they come from, and, where the database
//! can be reached, what is known against them. `deny.toml` has the rules.

use std::process::Command;

use anyhow::Result;

use super::install;
use crate::dirs::cargo;
use crate::step::Steps;

const VERSION: &str = "0.20.2";

/// Check licences, sources and known defects of all dependencies
#[derive(clap::Args)]
pub(crate) struct Options;

/// Whether nothing is against them.
pub(crate) fn run(steps: &Steps) -> Result<bool> {
    let program = install(steps, "cargo-deny", VERSION)?;
    let mut good = true;
    for workspace in ["", "fuzz"] {
        for check in ["licenses", "bans", "sources", "advisories"] {
            let name = format!("audit {workspace} {check}").replace("  ", " ");
            let checked = steps.always(&name, |cx| {
                cx.run(
                    Command::new(&program)
                        .args(["deny", "--config"])
                        .arg(cx.dirs.root.join("deny.toml"))
                        .args(["check", check])
                        .env("CARGO", cargo())
                        .current_dir(cx.dirs.root.join(workspace)),
                )?;
                Ok(("clean".into(), ()))
            });
            if let Err(error) = checked {
                println!("    FAILED {error:#}");
                good = false;
            }
        }
    }
    Ok(good)
}
