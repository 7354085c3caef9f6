// SPDX-License-Identifier: MIT
//! `cargo xtask bench`: what things cost, beside the stock hypervisor and its
//! console daemon.

mod figures;
mod xen;

use anyhow::Result;

use crate::step::Steps;

/// Measure this project beside stock Xen, in instructions
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    xen: xen::Xen,
}

impl Options {
    /// Runs it. Whether every goal is met.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        self.xen.run(steps)
    }
}
