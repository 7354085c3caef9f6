// SPDX-License-Identifier: MIT
//! Writes the client's manual pages and shell completions to a folder, from the
//! definitions that parse its command line.

#[expect(dead_code, reason = "the client sets some of it by itself")]
#[path = "../src/options/mod.rs"]
mod options;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

fn main() -> Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .context("name the folder to write to")?;
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    let mut command = options::Options::command().disable_help_subcommand(true);
    // One page for each command, too.
    clap_mangen::generate_to(command.clone(), &folder)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, "vconsole", &folder)?;
    }
    Ok(())
}
