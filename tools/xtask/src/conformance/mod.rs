// SPDX-License-Identifier: MIT
//! `cargo xtask conformance`: one suite on four PL011s.

mod model;
mod qemu;
mod results;

use std::path::PathBuf;

use anyhow::Result;

use self::results::{Ending, Results};
use crate::image::{CONFORMANCE, Firmware};
use crate::step::{Steps, write};

/// Run the conformance suite: one table, a column for each PL011
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only on this one; may be repeated
    #[arg(long = "target", value_enum)]
    targets: Vec<Target>,
    /// Write every result, with the reason of each failure, to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

/// A PL011 that the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Target {
    /// Our device in this process
    Model,
    /// QEMU's own, under firmware
    Qemu,
}

impl Target {
    /// Every one, in the order of the table.
    pub(crate) const ALL: [Self; 2] = [Self::Model, Self::Qemu];

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Qemu => "qemu",
        }
    }

    /// Whether a case that fails here is our fault.
    fn is_ours(self) -> bool {
        match self {
            Self::Model => true,
            Self::Qemu => false,
        }
    }

    fn run(self, steps: &Steps) -> Result<Results> {
        match self {
            Self::Model => steps.always("conformance model", |_| {
                let results = model::run();
                Ok((results::summary(&results), results))
            }),
            Self::Qemu => {
                let firmware = Firmware::build(steps)?;
                steps.always("conformance qemu", |_| {
                    let results = qemu::run(&firmware.image(CONFORMANCE))?;
                    Ok((results::summary(&results), results))
                })
            }
        }
    }
}

impl Options {
    /// Runs the suite and shows the table. Whether ours passed every case.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let chosen: Vec<Target> = Target::ALL
            .into_iter()
            .filter(|target| self.targets.is_empty() || self.targets.contains(target))
            .collect();
        let results = run(steps, &chosen)?;
        print!(
            "{}{}",
            results::table(&results),
            results::findings(&results)
        );
        if let Some(path) = &self.json {
            write(path, results::json(&results)? + "\n")?;
        }
        for (target, results) in &results {
            println!("{:<10} {}", target.name(), results::summary(results));
        }
        Ok(results
            .iter()
            .filter(|(target, _)| target.is_ours())
            .all(|(_, results)| !results.iter().any(Ending::is_fault)))
    }
}

/// Runs the suite on targets, a step each.
fn run(steps: &Steps, targets: &[Target]) -> Result<Vec<(Target, Results)>> {
    targets
        .iter()
        .map(|&target| {
            let results = target.run(steps)?;
            Ok((target, results))
        })
        .collect()
}
