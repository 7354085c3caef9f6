// SPDX-License-Identifier: MIT
//! `cargo xtask test`: runs the checks and prints totals.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use steps::{Cx, Steps, cargo};

use super::table::{ALL, Check, Lane, What};
use super::tally::Tally;
use crate::debian::host;
use crate::debian::programs;

/// Added to the niceness of all lanes except the first.
const NICE: i32 = 5;

/// Cargo's variable: whether compilers keep data for incremental builds of our own
/// code.
const INCREMENTAL: &str = "CARGO_INCREMENTAL";

/// Run all checks and print totals: lints, tests, fuzzers, and emulated Xen
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the quick checks, which take two minutes together
    #[arg(long)]
    quick: bool,
    /// Show the checks and run none
    #[arg(long)]
    list: bool,
}

impl Options {
    /// Runs them all, even after a failure. Returns whether all passed.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let chosen = ALL.iter().filter(|check| check.part_of.is_in(self.quick));
        if self.list {
            for check in chosen {
                println!("{:<26}{}", check.name, check.about);
            }
            return Ok(true);
        }
        // Without it a whole run compiles our own code in half the time.
        if !self.quick && env::var_os(INCREMENTAL).is_none() {
            let mut again = Command::new(env::current_exe()?);
            again.args(env::args_os().skip(1)).env(INCREMENTAL, "0");
            return Err(again.exec()).context("beginning again");
        }
        // Some tests use the cross compiler, QEMU and third-party programs.
        host::prepare(steps)?;
        programs::make(steps)?;
        let start = Instant::now();
        let done = run_lanes(steps, &chosen.collect::<Vec<_>>());
        println!();
        let mut total = Tally::default();
        for Done { name, tally, took } in done {
            println!(
                "{name:<26}{:<32}{:>8.1} s",
                tally.to_string(),
                took.as_secs_f64()
            );
            total.add(tally);
        }
        let took = start.elapsed().as_secs_f64();
        println!("{:<58}{took:>8.1} s", "all checks");
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

/// The result of a check, and its duration.
struct Done {
    name: &'static str,
    tally: Tally,
    took: Duration,
}

/// Runs the lanes of checks at the same time. Returns the results in the order of the
/// table.
fn run_lanes(steps: &Steps, chosen: &[&Check]) -> Vec<Done> {
    let lane = |lane: Lane| {
        if lane != Lane::First {
            // On an error the lane runs at the priority of the first.
            let _ = rustix::process::nice(NICE);
        }
        let of_lane = chosen.iter().enumerate();
        let of_lane = of_lane.filter(|(_, check)| check.lane == lane);
        let done = of_lane.map(|(at, check)| (at, check.done(steps)));
        done.collect::<Vec<_>>()
    };
    let mut done: Vec<(usize, Done)> = thread::scope(|scope| {
        let lanes = Lane::ALL.map(|each| scope.spawn(move || lane(each)));
        let done = lanes.into_iter().map(thread::ScopedJoinHandle::join);
        done.flat_map(|done| done.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, done)| done).collect()
}

impl Check {
    fn done(&self, steps: &Steps) -> Done {
        let start = Instant::now();
        Done {
            name: self.name,
            tally: self.run(steps),
            took: start.elapsed(),
        }
    }

    fn run(&self, steps: &Steps) -> Tally {
        let name = self.name;
        match self.what {
            What::Cargo(words) => {
                let result = steps.always(name, |cx| {
                    let mut command = Command::new(cargo::program());
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

/// Runs cargo's tests.
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
        // Tests that failed to build print no totals.
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
