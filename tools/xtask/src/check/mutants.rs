// SPDX-License-Identifier: MIT
//! `cargo xtask mutants`: `src/` with one change at a time, by cargo-mutants. A change
//! that no test finds shows a line without a test.
//!
//! A change costs a few seconds, as only short tests are run: few cases of each
//! property, no case-by-case test, no threads. The other tests may find what these
//! miss, so the figure is a lower bound.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, getrlimit, setrlimit};
use steps::{Dirs, Steps, cargo, files, install};

use crate::debian::host::rust_target;

const VERSION: &str = "27.1.0";

/// The changes that must be found, in percent.
const GOAL: usize = 90;

/// Limits the tests to five seconds of processor time, of which they need two. Tests
/// that use more are in an endless loop, which counts as found; a busy machine makes no
/// difference.
const RUNNER: &str = "prlimit --cpu=5";

/// Seconds after which tests that still run count as found: they wait for ever.
const PATIENCE: &str = "300";

/// Tests that take long, by a part of their names.
const SLOW: [&str; 3] = ["exhaustive::", "threads::", "after_any_other"];

/// Cases of each property; at full length there are 256 and more.
const CASES: &str = "16";

/// Address space of one process in bytes: an endless loop may allocate without end.
const SPACE: u64 = 6 << 30;

/// Make small changes to src/, one at a time, and check that tests notice them
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One part of all changes, such as 1/8
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Continue an interrupted run: results are kept, and a shard is a part of the
    /// rest
    #[arg(long)]
    resume: bool,
    /// Only changes in these files, such as src/fifo.rs
    files: Vec<String>,
}

impl Options {
    /// Runs them and prints those not found. Returns whether enough were found.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let program = install(steps, "cargo-mutants", VERSION, &[])?;
        let output = steps.dirs.target.join("mutants");
        let lists = output.join("mutants.out");
        steps.always("mutants", |cx| {
            fs::create_dir_all(&output)?;
            if self.resume {
                keep_timeouts(&lists)?;
            } else {
                files::remove(&lists)?;
            }
            let mut limit = getrlimit(Resource::As);
            limit.current = Some(SPACE);
            setrlimit(Resource::As, limit).context("limiting memory")?;
            // It fails if a change was not found, which is checked below.
            if let Err(error) = cx.run(&mut self.command(&program, cx.dirs)) {
                lists
                    .join("missed.txt")
                    .exists()
                    .then_some(())
                    .ok_or(error)?;
            }
            Ok(String::new())
        })?;
        Outcomes::read(&lists)?.print()
    }

    fn command(&self, program: &Path, dirs: &Dirs) -> Command {
        let output = dirs.target.join("mutants");
        let target = rust_target().to_uppercase().replace('-', "_");
        let mut command = Command::new(program);
        command
            .args([
                "mutants",
                "--package",
                "vpl011",
                "--no-shuffle",
                "--iterate",
            ])
            .args(["--profile", "mutants", "--jobs", "1", "--timeout", PATIENCE])
            .arg("--output")
            .arg(&output)
            .env("CARGO", cargo::program())
            // Their dependencies are built once.
            .env("CARGO_TARGET_DIR", output.join("build"))
            .env(format!("CARGO_TARGET_{target}_RUNNER"), RUNNER)
            .env("PROPTEST_CASES", CASES)
            // One failing case is enough, without shrinking.
            .env("PROPTEST_MAX_SHRINK_ITERS", "0")
            .current_dir(&dirs.root);
        if let Some(shard) = &self.shard {
            // Every file has a share in each shard.
            command.args(["--sharding", "round-robin", "--shard", shard]);
        }
        if self.files.is_empty() {
            command.args(["--file", "src/**"]);
        }
        for file in &self.files {
            command.args(["--file", file]);
        }
        // The tests of the device; no others are built.
        command.args([
            "--cargo-arg=--locked",
            "--cargo-arg=--test=model",
            "--cargo-arg=--test=ring",
        ]);
        command.args(["--", "--"]);
        for tests in SLOW {
            command.args(["--skip", tests]);
        }
        command
    }
}

/// Makes cargo-mutants count changes that never ended as found: it would try them
/// again, a minute each.
fn keep_timeouts(lists: &Path) -> Result<()> {
    let timeouts = fs::read_to_string(lists.join("timeout.txt")).unwrap_or_default();
    if !timeouts.is_empty() {
        let mut caught = File::options()
            .append(true)
            .create(true)
            .open(lists.join("caught.txt"))?;
        caught.write_all(timeouts.as_bytes())?;
    }
    Ok(())
}

/// The results of the changes, each by its name.
struct Outcomes {
    noticed: BTreeSet<String>,
    unnoticed: BTreeSet<String>,
}

impl Outcomes {
    /// Reads cargo-mutants' lists.
    fn read(lists: &Path) -> Result<Self> {
        let list = |name: &str| -> Result<BTreeSet<String>> {
            let path = lists.join(name);
            if !path.exists() {
                return Ok(BTreeSet::new());
            }
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        let unviable = list("unviable.txt")?;
        let mut noticed = list("caught.txt")?;
        // A test that never ends has found the change.
        noticed.extend(list("timeout.txt")?);
        // This list also contains changes that did not compile.
        noticed.extend(list("previously_caught.txt")?);
        noticed.retain(|name| !unviable.contains(name));
        Ok(Self {
            noticed,
            unnoticed: list("missed.txt")?,
        })
    }

    /// Prints them. Returns whether enough were found.
    fn print(&self) -> Result<bool> {
        for name in &self.unnoticed {
            println!("unnoticed: {name}");
        }
        let noticed = self.noticed.len();
        let all = noticed + self.unnoticed.len();
        if all == 0 {
            bail!("nothing was changed");
        }
        println!("{noticed} of {all} changes noticed");
        Ok(noticed * 100 >= all * GOAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(noticed: usize, unnoticed: usize) -> Outcomes {
        let names = |count: usize| (0..count).map(|n| n.to_string()).collect();
        Outcomes {
            noticed: names(noticed),
            unnoticed: names(unnoticed),
        }
    }

    #[test]
    fn nine_of_ten_must_be_noticed() {
        assert!(outcomes(9, 1).print().unwrap());
        assert!(!outcomes(8, 1).print().unwrap());
        assert!(outcomes(0, 0).print().is_err());
    }

    #[test]
    fn what_never_ended_is_not_tried_again() {
        let lists = tempfile::tempdir().unwrap();
        keep_timeouts(lists.path()).unwrap();
        fs::write(lists.path().join("timeout.txt"), "c\n").unwrap();
        keep_timeouts(lists.path()).unwrap();
        assert_eq!(
            fs::read_to_string(lists.path().join("caught.txt")).unwrap(),
            "c\n"
        );
    }

    #[test]
    fn a_change_that_does_not_compile_does_not_count() {
        let lists = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(lists.path().join(name), text).unwrap();
        write("caught.txt", "a\nb\n");
        write("timeout.txt", "c\n");
        write("previously_caught.txt", "a\nd\nu\n");
        write("unviable.txt", "u\n");
        write("missed.txt", "m\n");
        let read = Outcomes::read(lists.path()).unwrap();
        assert_eq!((read.noticed.len(), read.unnoticed.len()), (4, 1));
    }
}
