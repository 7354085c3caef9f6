// SPDX-License-Identifier: MIT
//! `cargo xtask soak`: the scenarios about faults in their long form, repeatedly.

mod stall;

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::report::Outcome;
use steps::Steps;

use crate::run::e2e::{Bench, Chosen};

/// Run faults in emulated Xen for a long time: kills, destruction, hostile peers
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Names; all that have a long form if none is given, and dom0less for --stall
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Start no round after this many minutes; there is at least one
    #[arg(long, default_value_t = 30, value_name = "N")]
    minutes: u64,
    #[command(flatten)]
    stall: stall::Repeat,
}

impl Options {
    /// Runs rounds. Returns whether all passed.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        if self.stall.stall {
            return self.stall.run(steps, &self.scenarios);
        }
        let chosen = Chosen::long(&self.scenarios)?;
        let mut bench = Bench::prepare(steps)?;
        bench.soak = true;
        let limit = Duration::from_secs(self.minutes * 60);
        let started = Instant::now();
        let mut rounds = Vec::new();
        while rounds.is_empty() || started.elapsed() < limit {
            println!("round {}", rounds.len() + 1);
            let outcomes = bench.run(&chosen)?;
            for outcome in &outcomes {
                println!("    {}", figures(outcome));
            }
            rounds.push(outcomes);
        }
        let failed = rounds.iter().flatten().filter(|one| !one.pass).count();
        println!(
            "{} rounds of {} scenarios in {} minutes, {failed} failed",
            rounds.len(),
            chosen.len(),
            started.elapsed().as_secs() / 60
        );
        Ok(failed == 0)
    }
}

/// A scenario's counts, on one line.
fn figures(outcome: &Outcome) -> String {
    let counted = outcome
        .data
        .iter()
        .map(|(name, value)| format!("{name} {value}"));
    let counted: Vec<String> = counted.collect();
    format!("{}: {}", outcome.scenario, counted.join(", "))
}
