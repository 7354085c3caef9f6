// SPDX-License-Identifier: MIT
//! `cargo xtask conformance`: one suite on four PL011s.

mod model;
mod qemu;
mod results;
mod xen;

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use steps::{Steps, write};

use self::results::Column;
use crate::docs::features;
use crate::image::{CONFORMANCE, Firmware};
use crate::run::e2e::Bench;
use crate::xen::Choice;
use e2e::suite::{Ending, Results};

/// Run the conformance suite: one table, a column for each PL011
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only on this one; may be repeated
    #[arg(long = "target", value_enum)]
    targets: Vec<Target>,
    /// Write the table to docs/evidence/conformance.md, and README's; runs on all
    #[arg(long, conflicts_with_all = ["targets", "tree"])]
    docs: bool,
    #[command(flatten)]
    xen: Choice,
    /// Write the results on the one target, case by case
    #[arg(
        long,
        value_name = "FILE",
        requires = "targets",
        conflicts_with = "docs"
    )]
    json: Option<PathBuf>,
    /// The tree and its commit, for that file
    #[arg(long, value_name = "TEXT", requires = "json", default_value = "")]
    of: String,
}

/// The text above the table in the documentation.
const PREFACE: &str = include_str!("preface.md");

/// The results of AMD's Xen, from a run by hand.
const AMD: &str = "conformance-amd.json";

/// A PL011 that the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Target {
    /// Our device in this process
    Model,
    /// QEMU's own, under firmware
    Qemu,
    /// That of unmodified Xen, in a guest
    XenStock,
    /// Ours, in a guest of Xen
    Xen,
}

impl Target {
    /// Every one, in the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::Model, Self::Qemu, Self::XenStock, Self::Xen];

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Qemu => "qemu",
            Self::XenStock => "xen-stock",
            Self::Xen => "xen",
        }
    }

    /// Whether a failed case here is a defect of ours.
    fn is_ours(self) -> bool {
        match self {
            Self::Model | Self::Xen => true,
            Self::Qemu | Self::XenStock => false,
        }
    }

    fn run(self, steps: &Steps, xen: &Choice) -> Result<Results> {
        match self {
            Self::Model => steps.value("conformance model", |_| {
                let results = model::run();
                Ok((results::summary(&results), results))
            }),
            Self::Qemu => {
                let firmware = Firmware::build(steps)?;
                steps.value("conformance qemu", |_| {
                    let results = qemu::run(&firmware.image(CONFORMANCE))?;
                    Ok((results::summary(&results), results))
                })
            }
            // With its own toolstack, which may support a UART that ours does not.
            Self::XenStock if xen.is_given() => {
                let bench = Bench::with_stock_toolstack(steps, xen.version(steps)?)?;
                xen::run(&bench, "conformance-stock")
            }
            Self::XenStock => {
                let bench = Bench::on(steps, xen.version(steps)?)?;
                xen::run(&bench, "conformance-stock")
            }
            Self::Xen => {
                let bench = Bench::on(steps, xen.version(steps)?)?;
                xen::run(&bench, "conformance")
            }
        }
    }
}

impl Options {
    /// Runs the suite and prints the table. Returns whether ours passed every case.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let chosen: Vec<Target> = Target::ALL
            .into_iter()
            .filter(|target| self.targets.is_empty() || self.targets.contains(target))
            .collect();
        let mut results = run(steps, &chosen, &self.xen)?;
        let mut both = chosen.iter().zip(&results);
        let faulty = both
            .any(|(target, (_, results))| target.is_ours() && results.iter().any(Ending::is_fault));
        if let Some(path) = &self.json {
            ensure!(results.len() == 1, "--json is of one target");
            write(path, results::json(&self.of, &results[0].1)? + "\n")?;
        }
        print!(
            "{}{}",
            results::table(&results),
            results::findings(&results)
        );
        if self.docs {
            let evidence = steps.dirs.root.join("docs/evidence");
            let amd = fs::read_to_string(evidence.join(AMD))?;
            results.push(("amd", results::of_json(&amd)?));
            let path = evidence.join("conformance.md");
            let summary = results::summaries(&results);
            let table = results::table(&results);
            write(&path, format!("{PREFACE}\n{summary}\n{table}"))?;
            features::make(&steps.dirs.root)?;
        }
        for (target, results) in &results {
            println!("{target:<10} {}", results::summary(results));
        }
        Ok(!faulty)
    }
}

/// Runs the suite on the targets without Xen: one result for each. In Xen it is a
/// scenario.
pub(crate) fn quick(steps: &Steps) -> Vec<Result<()>> {
    [Target::Model, Target::Qemu]
        .into_iter()
        .map(|target| {
            let results = target.run(steps, &Choice::default())?;
            let fault = |ending: &&Ending| {
                if target.is_ours() {
                    ending.is_fault()
                } else {
                    **ending == Ending::Missing
                }
            };
            let faults = results.iter().filter(fault).count();
            ensure!(
                faults == 0,
                "{faults} cases; `cargo xtask conformance --target {}` shows them",
                target.name()
            );
            Ok(())
        })
        .collect()
}

/// Runs the suite on targets, one step for each.
fn run(steps: &Steps, targets: &[Target], xen: &Choice) -> Result<Vec<Column>> {
    targets
        .iter()
        .map(|&target| {
            let results = target.run(steps, xen)?;
            Ok((target.name(), results))
        })
        .collect()
}
