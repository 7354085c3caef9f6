// SPDX-License-Identifier: MIT
//! `cargo xtask bench`: costs, compared with the stock hypervisor and its console
//! daemon.

mod backend;
mod breakdown;
mod core;
mod figures;
mod page;
mod plot;
mod size;
mod xen;

use anyhow::Result;
use steps::Steps;

/// Compare this project with stock Xen, in instructions
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    xen: xen::Xen,
}

pub(crate) use self::core::check as check_core;
pub(crate) use self::page::document;

/// What is measured apart from the table.
#[derive(clap::Subcommand)]
enum Other {
    Backend(backend::Backend),
    Breakdown(breakdown::Breakdown),
    Core(self::core::Core),
}

impl Options {
    /// Runs it. Returns whether every goal is met.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        match &self.other {
            Some(Other::Backend(backend)) => backend.run(steps),
            Some(Other::Breakdown(breakdown)) => breakdown.run(steps),
            Some(Other::Core(core)) => core.run(steps),
            None => self.xen.run(steps),
        }
    }
}
