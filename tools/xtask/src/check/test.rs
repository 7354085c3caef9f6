// SPDX-License-Identifier: MIT
//! `cargo xtask test`: runs the checks and prints totals.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Result;
use steps::{Cx, Steps, cargo};

use super::table::{ALL, Check, What};
use super::tally::Tally;
use crate::debian::host;
use crate::debian::programs;

/// Run all checks and print totals: lints, tests, fuzzers, and emulated Xen
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only those that take two minutes together
    #[arg(long)]
    quick: bool,
    /// Show the checks and run none
    #[arg(long)]
    list: bool,
}

impl Options {
    /// Runs them all, whatever fails. Whether all passed.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let chosen = ALL.iter().filter(|check| check.part_of.is_in(self.quick));
        if self.list {
            for check in chosen {
                println!("{:<22}{}", check.name, check.about);
            }
            return Ok(true);
        }
        // Some tests use the cross compiler, QEMU and other people's programs.
        host::prepare(steps)?;
        programs::make(steps)?;
        let mut total = Tally::default();
        let mut rows = Vec::new();
        for check in chosen {
            let start = Instant::now();
            let tally = check.run(steps);
            rows.push((check.name, tally.to_string(), start.elapsed()));
            total.add(tally);
        }
        println!();
        for (name, tally, time) in &rows {
            println!("{name:<22}{tally:<36}{:>8.1} s", time.as_secs_f64());
        }
        let time: Duration = rows.iter().map(|(_, _, time)| *time).sum();
        println!("{:<58}{:>8.1} s", "all checks", time.as_secs_f64());
        for failure in &total.failures {
            println!("failed: {failure}");
        }
        for skipped in &total.skipped {
            println!("skipped: {skipped}");
        }
        println!("{total}");
        Ok(total.failed == 0)
    }
}

impl Check {
    fn run(&self, steps: &Steps) -> Tally {
        let name = self.name;
        match self.what {
            What::Cargo(words) => {
                let result = steps.always(name, |cx| {
                    let mut command = std::process::Command::new(cargo::program());
                    cx.run(command.args(words).current_dir(&cx.dirs.root))?;
                    Ok("clean".into())
                });
                Tally::of(name, &result)
            }
            What::Tests(lines) => tests(steps, name, lines),
            What::Step(run) => Tally::of(name, &run(steps)),
            What::Count(run) => run(steps),
        }
    }
}

/// Tests that cargo knows.
fn tests(steps: &Steps, name: &str, lines: &[&[&str]]) -> Tally {
    let mut tally = Tally::default();
    let ran = steps.always(name, |cx| {
        let run = |words: &&[&str]| run_tests(cx, words);
        let results: Vec<Result<()>> = lines.iter().map(run).collect();
        tally = Tally::read(&fs::read_to_string(cx.log())?);
        results.into_iter().collect::<Result<()>>()?;
        Ok(tally.to_string())
    });
    if let Err(error) = ran {
        println!("    FAILED {error:#}");
        // Tests that could not be built do not count themselves.
        if tally.failed == 0 {
            tally.failed = 1;
            tally.failures.push(name.to_owned());
        }
    }
    tally
}

fn run_tests(cx: &Cx, words: &[&str]) -> Result<()> {
    cx.run(
        cargo::locked("test")
            .arg("--no-fail-fast")
            .args(words)
            .current_dir(&cx.dirs.root),
    )
}
