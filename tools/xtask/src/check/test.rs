// SPDX-License-Identifier: MIT
//! `cargo xtask test`: everything that must hold, counted.

use std::fs;
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum as _;

use crate::bench;
use crate::check::fuzz;
use crate::debian::host;
use crate::debian::pins::Unavailable;
use crate::debian::programs;
use crate::docs;
use crate::engine::dirs::cargo;
use crate::engine::step::{Cx, Steps};
use crate::image;
use crate::package;
use crate::run::conformance;
use crate::run::demo;
use crate::run::e2e::{Bench, Chosen};
use crate::xen::{self, Version};

/// Run every test: formatting, lints, units, and emulated Xen
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out what needs emulated Xen
    #[arg(long)]
    fast: bool,
}

/// The scenario that each time runs on every version of Xen but the default
/// one, which runs them all.
const OTHER_VERSIONS: &str = "demo";

/// How many of what ran held.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    fn one(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            skipped: 0,
        }
    }

    /// Of what an error kept from passing: skipped, if it needs a file that
    /// nobody has any more.
    fn of(name: &str, checks: usize, error: &anyhow::Error) -> Self {
        let mut count = Self::default();
        if error.downcast_ref::<Unavailable>().is_some() {
            println!("    SKIPPED {name}: {error:#}");
            count.skipped = checks;
        } else {
            println!("    FAILED {name}: {error:#}");
            count.failed = checks;
        }
        count
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

impl Options {
    /// Runs them all, whatever fails. Whether all passed.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        // Some unit tests use the cross compiler and QEMU.
        host::prepare(steps)?;
        programs::make(steps)?;
        let mut count = Count::default();
        let lints: [(&str, &[&str]); 4] = [
            ("fmt", &["fmt", "--all", "--check"]),
            (
                "fmt fuzz",
                &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"],
            ),
            (
                "clippy",
                &[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                ],
            ),
            (
                "clippy hypervisor",
                &[
                    "clippy",
                    "-p",
                    "hyp-shim",
                    "--lib",
                    "--target",
                    host::RUST_TARGETS[0],
                    "--",
                    "-D",
                    "warnings",
                ],
            ),
        ];
        for (name, arguments) in lints {
            count.add(single(name, || {
                steps.always(name, |cx| {
                    cx.run(cargo_in(cx).args(arguments))?;
                    Ok(("clean".into(), ()))
                })
            }));
        }
        count.add(single("rustdoc", || docs::rustdoc(steps)));
        count.add(unit_tests(steps));
        for result in fuzz::quick(steps) {
            count.add(single("fuzz", || result));
        }
        count.add(single("firmware lints", || image::lint_firmware(steps)));
        count.add(single("bench core", || bench::check_core(steps)));
        count.add(single("package", || package::run(steps)));
        count.add(single("embedded demo", || demo::embedded(steps)));
        for result in conformance::quick(steps) {
            count.add(single("conformance", || result));
        }
        if !self.fast {
            for &version in Version::value_variants() {
                let patches = version.step("xen patches");
                count.add(single(&patches, || xen::check_patches(steps, version)));
                let chosen = if version == Version::default() {
                    Chosen::all()
                } else {
                    Chosen::named(&[OTHER_VERSIONS.to_owned()])?
                };
                count.add(scenarios(steps, version, &chosen));
            }
        }
        println!("{count}");
        Ok(count.failed == 0)
    }
}

/// Scenarios on a version of Xen; all of them have failed if it cannot be built.
fn scenarios(steps: &Steps, version: Version, chosen: &Chosen) -> Count {
    let mut count = Count::default();
    match Bench::on(steps, version).and_then(|bench| bench.run(chosen)) {
        Ok(outcomes) => {
            for outcome in outcomes {
                count.add(Count::one(outcome.pass));
            }
        }
        Err(error) => {
            count = Count::of(version.number(), chosen.len(), &error);
        }
    }
    count
}

fn cargo_in(cx: &Cx) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(&cx.dirs.root);
    command
}

/// Counts something that holds or does not.
fn single<T>(name: &str, run: impl FnOnce() -> Result<T>) -> Count {
    match run() {
        Ok(_) => Count::one(true),
        Err(error) => Count::of(name, 1, &error),
    }
}

/// The tests that cargo knows, of every crate.
fn unit_tests(steps: &Steps) -> Count {
    let mut count = Count::default();
    let ran = steps.always("unit tests", |cx| {
        let ran = cx.run(cargo_in(cx).args(["test", "--workspace", "--no-fail-fast"]));
        count = counted(&fs::read_to_string(cx.log())?);
        ran?;
        Ok((count.to_string(), ()))
    });
    if let Err(error) = ran {
        println!("    FAILED {error:#}");
        // Tests that could not be built do not count themselves.
        count.failed = count.failed.max(1);
    }
    count
}

/// Adds up what test programs say of themselves.
fn counted(log: &str) -> Count {
    let mut count = Count::default();
    for line in log
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "))
    {
        let figure = |what: &str| {
            let (before, _) = line.split_once(what)?;
            before.split_whitespace().next_back()?.parse::<usize>().ok()
        };
        count.add(Count {
            passed: figure(" passed").unwrap_or(0),
            failed: figure(" failed").unwrap_or(0),
            skipped: figure(" ignored").unwrap_or(0),
        });
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_added_up() {
        let log = "running 3 tests\n\
                   test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                   test result: FAILED. 4 passed; 5 failed; 0 ignored; 0 measured\n";
        assert_eq!(
            counted(log),
            Count {
                passed: 6,
                failed: 5,
                skipped: 1
            }
        );
        assert_eq!(counted("error: could not compile"), Count::default());
    }

    #[test]
    fn what_needs_a_file_that_nobody_has_is_skipped() {
        let unavailable = || Unavailable {
            pin: "xen 4.20".into(),
            tried: Vec::new(),
        };
        let error = anyhow::Error::from(unavailable()).context("building");
        let count = Count::of("xen", 3, &error);
        assert_eq!((count.failed, count.skipped), (0, 3));
        let count = Count::of("xen", 3, &anyhow::anyhow!("{}", unavailable()));
        assert_eq!((count.failed, count.skipped), (3, 0));
    }

    #[test]
    fn the_last_line_has_its_form() {
        let mut count = Count {
            passed: 3,
            failed: 0,
            skipped: 0,
        };
        assert_eq!(count.to_string(), "3 passed, 0 failed");
        count.skipped = 2;
        assert_eq!(count.to_string(), "3 passed, 0 failed, 2 skipped");
    }
}
