// SPDX-License-Identifier: MIT
//! `cargo xtask soak --stall`: scenarios on new machines, repeatedly, and the number of
//! machines that hung.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use e2e::report::Outcome;
use steps::Steps;

use crate::rig::evidence::GOES_ON;
use crate::run::e2e::{Bench, Chosen};
use crate::xen::Version;

/// The scenario that is repeated if none is named: a guest beside dom0 from power-on.
const SCENARIO: &str = "dom0less";

#[derive(clap::Args)]
pub(super) struct Repeat {
    /// Run scenarios on new machines again and again, and count the machines that
    /// hang
    #[arg(long)]
    pub(super) stall: bool,
    /// How often each scenario is run
    #[arg(long, default_value_t = 10, value_name = "N", requires = "stall")]
    runs: usize,
    /// How many machines run at a time
    #[arg(long, default_value_t = 1, value_name = "N", requires = "stall")]
    parallel: usize,
    /// The version of Xen
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "4.17",
        requires = "stall"
    )]
    xen: Version,
    /// Boot this in place of the hypervisor that was built; xen-syms is beside it
    #[arg(long, value_name = "FILE", requires = "stall")]
    hypervisor: Option<PathBuf>,
    /// The QEMU
    #[arg(long, value_name = "PROGRAM", requires = "stall")]
    qemu: Option<PathBuf>,
    /// QEMU's accelerator options, such as tcg,thread=single
    #[arg(long, value_name = "OPTIONS", requires = "stall")]
    accel: Option<String>,
}

/// The results of runs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    runs: usize,
    failed: usize,
    /// Of those, failures on a machine that hung.
    still: usize,
}

impl Counts {
    fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.failed += usize::from(!outcome.pass);
        let still = outcome.checks.iter().any(|check| check.id == GOES_ON);
        self.still += usize::from(still);
    }
}

impl Repeat {
    /// Runs them and prints the results. Returns whether all passed.
    pub(super) fn run(&self, steps: &Steps, scenarios: &[String]) -> Result<bool> {
        let default = [SCENARIO.to_owned()];
        let chosen = Chosen::named(if scenarios.is_empty() {
            &default
        } else {
            scenarios
        })?;
        let mut bench = Bench::on(steps, self.xen)?;
        if let Some(program) = &self.qemu {
            bench.emulator.program.clone_from(program);
        }
        bench.emulator.accel.clone_from(&self.accel);
        bench.hypervisor.clone_from(&self.hypervisor);
        let mut counts = Counts::default();
        let next = AtomicUsize::new(1);
        let run = || -> Result<Vec<Outcome>> {
            let mut numbered = bench.clone();
            numbered.number = Some(next.fetch_add(1, Ordering::Relaxed));
            numbered.run(&chosen)
        };
        // The first builds what only some scenarios need.
        for outcome in run()? {
            counts.add(&outcome);
        }
        let outcomes = thread::scope(|scope| {
            let worker = || {
                let mut outcomes = Vec::new();
                while next.load(Ordering::Relaxed) <= self.runs {
                    outcomes.extend(run()?);
                }
                anyhow::Ok(outcomes)
            };
            let workers: Vec<_> = (0..self.parallel).map(|_| scope.spawn(worker)).collect();
            let mut outcomes = Vec::new();
            for worker in workers {
                let done = worker.join().map_err(|_| anyhow!("a run panicked"))?;
                outcomes.extend(done?);
            }
            anyhow::Ok(outcomes)
        })?;
        for outcome in &outcomes {
            counts.add(outcome);
        }
        println!(
            "{} runs, {} failed, {} of them on a stalled machine",
            counts.runs, counts.failed, counts.still
        );
        Ok(counts.failed == 0)
    }
}

#[cfg(test)]
mod tests {
    use e2e::report::Check;

    use super::*;

    #[test]
    fn stalled_machines_are_distinguished_from_other_failures() {
        let outcome = |id: &str, pass| {
            let check = Check {
                id: id.into(),
                pass,
                detail: String::new(),
            };
            Outcome::new("one", 1.0, vec![check], serde_json::Map::new())
        };
        let mut counts = Counts::default();
        counts.add(&outcome("a line", true));
        counts.add(&outcome("a line", false));
        counts.add(&outcome(GOES_ON, false));
        let seen = Counts {
            runs: 3,
            failed: 2,
            still: 1,
        };
        assert_eq!(counts, seen);
    }
}
