// SPDX-License-Identifier: MIT
//! `cargo xtask demo`: builds everything, and uses a guest on both of its consoles;
//! then prints the costs.

mod embedded;
mod show;
mod web;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use e2e::report::Outcome;
use serde_json::json;
use steps::{Steps, write};

use crate::run::boot;
use crate::run::e2e::Bench;
use crate::xen::{Choice, Version};

/// Boot emulated Xen with our PL011, and use a guest's two consoles
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Hand this terminal to a console of the guest (leave with ^])
    #[arg(long, value_name = "CONSOLE")]
    interactive: Option<Console>,
    /// Without an emulated machine: device, ring and daemon in one process
    #[arg(long, conflicts_with_all = ["interactive", "xen", "tree"])]
    embedded: bool,
    /// Two guests of the same in a web browser, until Ctrl-C
    #[arg(long, conflicts_with_all = ["interactive", "embedded", "xen", "tree", "json"])]
    web: bool,
    #[command(flatten)]
    xen: Choice,
    /// Write the summary to a file
    #[arg(long, value_name = "FILE", conflicts_with = "interactive")]
    json: Option<PathBuf>,
}

/// A console of the guest.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Console {
    /// ttyAMA0, the PL011
    Vuart,
    /// hvc0, the PV console
    Pv,
}

impl Options {
    /// Runs it. Returns whether every part was seen.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let started = Instant::now();
        if let Some(console) = self.interactive {
            return interactive(steps, self.xen.version(steps)?, console).map(|()| true);
        }
        if self.web {
            return web::run(steps).map(|()| true);
        }
        let outcome = if self.embedded {
            embedded::run(steps)?
        } else {
            emulated(steps, self.xen.version(steps)?)?
        };
        let consoles = if self.embedded {
            ["vuart0, the PL011: its pty", "pv0, the PV console: its pty"]
        } else {
            [
                "ttyAMA0: PL011, xl console -t vuart guest",
                "hvc0: PV console, xl console guest",
            ]
        };
        show::all(&outcome, consoles);
        if let Some(path) = &self.json {
            let summary = json!({
                "version": 1,
                "kind": if self.embedded { "embedded" } else { "emulated" },
                "pass": outcome.pass,
                "seconds": started.elapsed().as_secs_f64(),
                "checks": outcome.checks,
                "data": outcome.data,
            });
            write(path, format!("{summary:#}\n"))?;
        }
        Ok(outcome.pass)
    }
}

/// Runs the embedded demo, all of whose checks must pass.
pub(crate) fn embedded(steps: &Steps) -> Result<()> {
    let outcome = embedded::run(steps)?;
    let failed: Vec<_> = outcome.checks.iter().filter(|check| !check.pass).collect();
    ensure!(failed.is_empty(), "{failed:?}");
    Ok(())
}

/// Starts the demo for web browsers and fetches its pages.
pub(crate) fn web(steps: &Steps) -> Result<()> {
    web::check(steps)
}

fn emulated(steps: &Steps, version: Version) -> Result<Outcome> {
    let scenario = e2e::scenario("demo").context("there is no scenario `demo`")?;
    let outcome = Bench::on(steps, version)?.run(&scenario.into())?.pop();
    outcome.context("the demo printed no result")
}

fn interactive(steps: &Steps, version: Version, console: Console) -> Result<()> {
    use std::io::IsTerminal;
    ensure!(
        std::io::stdin().is_terminal(),
        "--interactive needs a terminal"
    );
    let bench = Bench::on(steps, version)?;
    let name = match console {
        Console::Vuart => "vuart",
        Console::Pv => "pv",
    };
    let (machine, _) = bench.start(
        e2e::Machine::DEFAULT,
        format!("attach={name}"),
        None,
        "demo-interactive",
    )?;
    println!("Leave with ^] (Ctrl and the right bracket).");
    boot::hand_over(machine)
}
