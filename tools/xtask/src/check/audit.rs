// SPDX-License-Identifier: MIT
//! `cargo xtask audit`: the crates of every build, checked by cargo-deny: their
//! licences, their sources, and, if the database can be reached, their known defects.
//! `deny.toml` has the rules.

use std::process::Command;

use anyhow::Result;
use steps::{Steps, cargo, install};

use super::tally::Tally;

const VERSION: &str = "0.20.2";

/// cargo-deny's message if it cannot reach the database: a fault of the machine, not of
/// a crate.
const UNREACHABLE: &str = "failed to fetch advisory database";

/// Check licences, sources and known defects of all dependencies
#[derive(clap::Args)]
pub(crate) struct Options;

/// Prints totals. Returns whether there are no findings; checks that could not run
/// count as skipped.
pub(crate) fn run(steps: &Steps) -> Result<bool> {
    let program = install(steps, "cargo-deny", VERSION, &[])?;
    let mut tally = Tally::default();
    for workspace in ["", "fuzz"] {
        for check in ["licenses", "bans", "sources", "advisories"] {
            let name = format!("audit {workspace} {check}").replace("  ", " ");
            let checked = steps.always(&name, |cx| {
                cx.run(
                    Command::new(&program)
                        .args(["deny", "--locked", "--config"])
                        .arg(cx.dirs.root.join("deny.toml"))
                        .args(["check", check])
                        .env("CARGO", cargo::program())
                        .current_dir(cx.dirs.root.join(workspace)),
                )?;
                Ok("clean".into())
            });
            tally.add(outcome(&name, &checked));
        }
    }
    for skipped in &tally.skipped {
        println!("skipped: {skipped}");
    }
    println!("{tally}");
    Ok(tally.failed == 0)
}

fn outcome(name: &str, checked: &Result<()>) -> Tally {
    let unreachable = |error: &anyhow::Error| format!("{error:#}").contains(UNREACHABLE);
    if checked.as_ref().is_err_and(unreachable) {
        return Tally {
            skipped: vec![format!("{name}, not checked: {UNREACHABLE}")],
            ..Tally::default()
        };
    }
    Tally::of(name, checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_did_not_pass() {
        let error = |text: &'static str| Err(anyhow::anyhow!(text));
        let text = "`cargo-deny` failed: [ERROR] failed to fetch advisory database x";
        let tally = outcome("audit advisories", &error(text));
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 1 skipped");
        let tally = outcome("audit bans", &error("error[banned]: x"));
        assert_eq!(tally.to_string(), "0 passed, 1 failed");
        assert_eq!(
            outcome("audit bans", &Ok(())).to_string(),
            "1 passed, 0 failed"
        );
    }
}
