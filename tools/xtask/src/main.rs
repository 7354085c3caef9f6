// SPDX-License-Identifier: MIT
//! `cargo xtask`: the one front door for people.

mod xen;

use clap::Parser;

/// Build, run and test vpl011
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
enum Command {
    /// Fetch, build or change a Xen tree
    #[command(subcommand)]
    Xen(xen::Command),
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Xen(command) => command.run(),
    }
}
