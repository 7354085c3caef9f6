// SPDX-License-Identifier: MIT
//! `cargo xtask bench`: what things cost, beside the stock hypervisor and its
//! console daemon.

mod backend;
mod figures;
mod xen;

use anyhow::Result;

use crate::step::Steps;

/// Measure this project beside stock Xen, in instructions
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    xen: xen::Xen,
}

/// What is measured by this machine's own clock.
#[derive(clap::Subcommand)]
enum Other {
    Backend(backend::Backend),
}

impl Options {
    /// Runs it. Whether every goal is met.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        match &self.other {
            Some(Other::Backend(backend)) => backend.run(steps),
            None => self.xen.run(steps),
        }
    }
}
