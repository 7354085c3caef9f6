// SPDX-License-Identifier: MIT
//! The checks of `cargo xtask test`, as data, in the order in which they run.
//! The list in docs/evidence/testing.md is made from it by `cargo xtask docs --write`.

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use steps::{Steps, cargo};

use super::fuzz;
use super::misra;
use super::tally::Tally;
use crate::bench;
use crate::debian::host;
use crate::debian::packages::Packages;
use crate::docs;
use crate::image;
use crate::libvirt;
use crate::package;
use crate::run::conformance;
use crate::run::demo;
use crate::run::e2e::{Bench, Chosen};
use crate::xen::{self, Version};
use crate::xterm;

/// One check.
pub(super) struct Check {
    /// Its name, unique.
    pub(super) name: &'static str,
    /// The defects that make it fail, on one line.
    pub(super) about: &'static str,
    pub(super) part_of: Part,
    pub(super) lane: Lane,
    pub(super) what: What,
}

/// Lanes run at the same time, each with its checks in sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// At the priority of the command: checks that measure time.
    First,
    /// At a lower priority: machines of other builds and versions.
    Machines,
    /// At a lower priority: fuzz targets.
    Fuzz,
}

impl Lane {
    pub(super) const ALL: [Self; 3] = [Self::First, Self::Machines, Self::Fuzz];

    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Machines => "machines",
            Self::Fuzz => "fuzz",
        }
    }
}

/// The runs that include a check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Both,
    /// Only `--quick`: a whole run has a check that does more.
    Quick,
    /// Only a whole run.
    Whole,
}

impl Part {
    /// Whether a run includes it.
    pub(super) fn is_in(self, quick: bool) -> bool {
        self == Self::Both || (self == Self::Quick) == quick
    }

    fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Quick => "quick",
            Self::Whole => "whole",
        }
    }
}

pub(super) enum What {
    /// Cargo with these arguments; passes if cargo succeeds.
    Cargo(&'static [&'static str]),
    /// Cargo with each of these argument lists runs tests, which are counted.
    Tests(&'static [&'static [&'static str]]),
    /// Passes or fails.
    Step(fn(&Steps) -> Result<()>),
    /// Counts several results.
    Count(fn(&Steps) -> Tally),
}

/// All checks.
pub(super) const ALL: &[Check] = &[
    Check {
        name: "fmt",
        about: "a file that rustfmt would change",
        part_of: Part::Both,
        lane: Lane::First,
        what: What::Cargo(&["fmt", "--all", "--check"]),
    },
    Check {
        name: "fmt fuzz",
        about: "the same in fuzz/, a workspace of its own",
        part_of: Part::Both,
        lane: Lane::First,
        what: What::Cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]),
    },
    Check {
        name: "lock fuzz",
        about: "a lock file there that lacks a crate",
        part_of: Part::Both,
        lane: Lane::First,
        what: What::Cargo(&["tree", "--locked", "--manifest-path", "fuzz/Cargo.toml"]),
    },
    Check {
        name: "clippy",
        about: "a warning of the compiler's or of clippy's, tests included",
        part_of: Part::Both,
        lane: Lane::First,
        what: What::Cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
    },
    Check {
        name: "clippy hypervisor",
        about: "the same in what is linked into Xen, for its target",
        part_of: Part::Both,
        lane: Lane::First,
        what: What::Cargo(&[
            "clippy",
            "--locked",
            "-p",
            "hyp-shim",
            "--lib",
            "--target",
            "aarch64-unknown-none-softfloat",
            "--",
            "-D",
            "warnings",
        ]),
    },
    Check {
        name: "spelling",
        about: "a misspelled word, in any file that git lists (codespell)",
        part_of: Part::Both,
        lane: Lane::First,
        what: What::Step(docs::spelling),
    },
    Check {
        name: "quick tests",
        about: "tests of every crate, but for exhaustive, loom, process, browser and doc tests",
        part_of: Part::Quick,
        lane: Lane::First,
        what: What::Tests(&[
            &[
                "--workspace",
                "--exclude=interleavings",
                "--exclude=oracle",
                "--exclude=vconsole-web",
                "--exclude=vconsoled",
                "--lib",
                "--bins",
                "--tests",
                "--examples",
                "--",
                "--skip=exhaustive",
            ],
            &[
                "--package=vconsoled",
                "--lib",
                "--bins",
                "--test=daemon",
                "--test=descriptors",
            ],
            &["--package=vconsole-web", "--lib", "--bins", "--test=web"],
        ]),
    },
    Check {
        name: "browser",
        about: "a Chromium or an xterm.js for tests of the pages that is available and not installed",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Count(browser),
    },
    Check {
        name: "tests",
        about: "all tests of every crate, doc tests included",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Tests(&[&cargo::WORKSPACE]),
    },
    Check {
        name: "oracle",
        about: "one of a million cases in which the device differs from the oracle",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Tests(&[&["--release", "--package=oracle"]]),
    },
    Check {
        name: "rustdoc",
        about: "a broken link in the crates' documentation",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Step(docs::rustdoc),
    },
    Check {
        name: "fuzz",
        about: "an input on which a target fails, in a short run from its seeds",
        part_of: Part::Whole,
        lane: Lane::Fuzz,
        what: What::Count(|steps| each("fuzz", fuzz::quick(steps))),
    },
    Check {
        name: "firmware lints",
        about: "a warning of clippy's in bare-metal guests",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Step(image::lint_firmware),
    },
    Check {
        name: "bench core",
        about: "an access that takes more instructions than its budget",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Step(bench::check_core),
    },
    Check {
        name: "package",
        about: "a Debian package that fails its own test, or lintian if it is installed: the daemon's for arm64 and that of the pages for this machine; `package` makes each for both",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Count(|steps| maybe("package", package::packages(steps, false))),
    },
    Check {
        name: "package scripts",
        about: "a fault while a package is installed that leaves guests without a daemon, or a purge that leaves something",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Count(|steps| maybe("package scripts", package::scripts(steps))),
    },
    Check {
        name: "embedded demo",
        about: "the demo inside one process, without Xen or QEMU",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Step(demo::embedded),
    },
    Check {
        name: "web demo",
        about: "the demo for web browsers, whose page does not show two guests",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Step(demo::web),
    },
    Check {
        name: "conformance",
        about: "a case of the suite that the model fails, or that does not run on QEMU's PL011",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Count(|steps| each("conformance", conformance::quick(steps))),
    },
    Check {
        name: "xen patches",
        about: "a series of patches that gives another tree than the hooks",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Count(patches),
    },
    Check {
        name: "libvirt patches",
        about: "the same of the changes to libvirt, or one that does not fit its pinned source",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Step(libvirt::check_patches),
    },
    Check {
        name: "xen traps",
        about: "a guest that gets other interrupts with the fast trap than without",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Count(traps),
    },
    Check {
        name: "misra",
        about: "a breach of MISRA C in the glue, of a rule that is not deviated from",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Step(misra::run),
    },
    Check {
        name: "options off",
        about: "a hook that changes Xen with the options off",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Step(xen::check_off),
    },
    Check {
        name: "scenarios",
        about: "any scenario in emulated Xen, of the default version and build",
        part_of: Part::Whole,
        lane: Lane::First,
        what: What::Count(|steps| scenarios(steps, Version::default(), &Chosen::usual())),
    },
    Check {
        name: "scenarios, other machines",
        about: "one in a dom0 with systemd or with EDK2, or with a guest that Xen itself starts",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Count(|steps| scenarios(steps, Version::default(), &Chosen::other_machines())),
    },
    Check {
        name: "scenarios, other builds",
        about: "one that needs another build: debug, new vGIC, fast trap off, all off, stock",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Count(|steps| scenarios(steps, Version::default(), &Chosen::other_builds())),
    },
    Check {
        name: "scenarios, other Xen",
        about: "the demo on every other version of Xen",
        part_of: Part::Whole,
        lane: Lane::Machines,
        what: What::Count(other_versions),
    },
];

/// The scenario that a whole run has on every version of Xen except the default one,
/// which runs all.
const OTHER_VERSIONS: &str = "demo";

/// The tally of a result that may contain why it, or a part of it, is not available
/// here.
fn maybe(name: &str, result: Result<Option<String>>) -> Tally {
    match result {
        Ok(Some(why)) => Tally::skipped(name, &why),
        result => Tally::of(name, &result),
    }
}

/// Further requirements of the pages' tests. Where they are not available, these tests
/// are skipped.
fn browser(steps: &Steps) -> Tally {
    let chromium = host::install(steps, "browser", &Packages::read().browser.packages);
    match chromium.and_then(|()| xterm::fetch(steps)) {
        Ok(_) => Tally::one(true),
        Err(error) => Tally::skipped("browser", &format!("{error:#}")),
    }
}

fn each(name: &str, results: Vec<Result<()>>) -> Tally {
    let mut tally = Tally::default();
    for result in results {
        tally.add(Tally::of(name, &result));
    }
    tally
}

fn patches(steps: &Steps) -> Tally {
    on_each("xen patches", |version| xen::check_patches(steps, version))
}

fn traps(steps: &Steps) -> Tally {
    on_each("xen traps", |version| xen::check_traps(steps, version))
}

fn on_each(name: &str, check: impl Fn(Version) -> Result<()>) -> Tally {
    let mut tally = Tally::default();
    for &version in Version::value_variants() {
        tally.add(Tally::of(&version.step(name), &check(version)));
    }
    tally
}

fn other_versions(steps: &Steps) -> Tally {
    let chosen = match Chosen::named(&[OTHER_VERSIONS.to_owned()]) {
        Ok(chosen) => chosen,
        Err(error) => return Tally::of::<()>(OTHER_VERSIONS, &Err(error)),
    };
    let mut tally = Tally::default();
    for &version in Version::value_variants() {
        if version != Version::default() {
            tally.add(scenarios(steps, version, &chosen));
        }
    }
    tally
}

/// The most characters of a failed check's detail that the totals show.
const SEEN_MAX: usize = 200;

/// Scenarios on a version of Xen; if it cannot be built, all of them have failed.
fn scenarios(steps: &Steps, version: Version, chosen: &Chosen) -> Tally {
    let mut tally = Tally::default();
    match Bench::on(steps, version).and_then(|bench| bench.run(chosen)) {
        Ok(outcomes) => {
            for outcome in outcomes {
                let failed = outcome.checks.iter().filter(|check| !check.pass);
                let failed = failed.map(|check| {
                    let seen: String = check.detail.chars().take(SEEN_MAX).collect();
                    format!("{}: {seen}", check.id)
                });
                let failed: Vec<String> = failed.collect();
                tally.add(Tally::one(outcome.pass));
                if !outcome.pass {
                    let failure = format!("e2e {}: {}", outcome.scenario, failed.join("; "));
                    tally.failures.push(failure);
                }
            }
        }
        Err(error) => tally = Tally::kept(version.number(), chosen.len(), &error),
    }
    tally
}

/// The page with the list, and the marks around it.
const PAGE: &str = "docs/evidence/testing.md";
const BEGIN: &str =
    "<!-- made by `cargo xtask docs --write` from tools/xtask/src/check/table.rs -->";
const END: &str = "<!-- end of what is made -->";

fn list() -> String {
    let rows = ALL.iter().map(|check| {
        let (part, lane) = (check.part_of.name(), check.lane.name());
        format!("| {} | {part} | {lane} | {} |\n", check.name, check.about)
    });
    let rows: String = rows.collect();
    format!("\n| check | part of | lane | fails for |\n|---|---|---|---|\n{rows}\n")
}

/// Writes the list into its page.
pub(crate) fn document(root: &Path) -> Result<()> {
    docs::replace(&root.join(PAGE), BEGIN, &list(), END).with_context(|| PAGE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
        let made = format!("{BEGIN}\n{}\n{END}", list());
        assert!(page.contains(&made), "cargo xtask docs --write");
    }

    #[test]
    fn names_are_unique_and_quick_is_less() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|check| Lane::ALL.contains(&check.lane)));
        let in_run = |quick| ALL.iter().filter(move |check| check.part_of.is_in(quick));
        assert!(in_run(true).count() < in_run(false).count());
        assert_eq!(in_run(true).count(), 7);
    }
}
