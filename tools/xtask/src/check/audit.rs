// SPDX-License-Identifier: MIT
//! `cargo xtask audit`: the crates that everything is built from, by
//! cargo-deny: their licences, where they come from, and, where the database
//! can be reached, what is known against them. `deny.toml` has the rules.

use std::process::Command;

use anyhow::Result;

use super::tool::install;
use crate::engine::dirs::cargo;
use crate::engine::step::Steps;

const VERSION: &str = "0.20.2";

/// What cargo-deny says where it has no way to the database: a fault of the
/// machine's, not of a crate.
const UNREACHABLE: &str = "failed to fetch advisory database";

/// Check licences, sources and known defects of all dependencies
#[derive(clap::Args)]
pub(crate) struct Options;

/// Whether nothing is against them.
pub(crate) fn run(steps: &Steps) -> Result<bool> {
    let program = install(steps, "cargo-deny", VERSION, &[])?;
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
            let Err(error) = checked else { continue };
            let error = format!("{error:#}");
            if error.contains(UNREACHABLE) {
                println!("    not checked: the database of advisories cannot be fetched here");
            } else {
                println!("    FAILED {error}");
                good = false;
            }
        }
    }
    Ok(good)
}
