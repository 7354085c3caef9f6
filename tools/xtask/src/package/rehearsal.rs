// SPDX-License-Identifier: MIT
//! A package's scripts, run by dpkg on a temporary copy of this machine. Of the
//! daemon's: an error during the installation leaves one daemon or the other serving.
//! Of the pages': they are reachable only from this machine unless configured
//! otherwise, and a purge leaves nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use pins::Pins;
use steps::Steps;

use super::recipe::Recipe;
use super::{Package, sources};
use crate::debian::host;

/// The script that makes a copy.
const COPY: &str = "tools/xtask/src/package/copy.sh";
/// Beside the files of a package: its test cases.
const SCRIPT: &str = "rehearsal.sh";

/// Test cases of a package, for one of this machine.
pub(super) struct Rehearsal<'a> {
    /// The package, as it is printed.
    pub(super) name: &'a str,
    /// The file.
    pub(super) package: &'a Path,
    /// The script that has the cases.
    pub(super) script: PathBuf,
    pub(super) cases: &'a [&'a str],
    /// Files that the cases need.
    pub(super) others: Vec<PathBuf>,
}

/// Runs each case of a Debian package; or returns why no copy can be made here.
pub(super) fn rehearse(
    steps: &Steps,
    package: &Package,
    recipe: &Recipe,
) -> Result<Option<&'static str>> {
    let others = match recipe.others {
        Some(set) => steps.pins(set)?.of(host::architecture()),
        None => Pins(Vec::new()),
    };
    let others = steps.value(&format!("package {} other files", recipe.name), |cx| {
        let files = cx.fetch(&others)?;
        Ok((format!("{} available", files.len()), files))
    })?;
    let rehearsal = Rehearsal {
        name: recipe.name,
        package: &package.file,
        script: sources(&steps.dirs, recipe).join(SCRIPT),
        cases: recipe.cases,
        others,
    };
    rehearsal.run(steps)
}

impl Rehearsal<'_> {
    /// Runs each case on its own copy; or returns why no copy can be made here.
    pub(super) fn run(&self, steps: &Steps) -> Result<Option<&'static str>> {
        steps.value(&format!("package {} scripts", self.name), |cx| {
            let folder = cx.dirs.target.join("package/rehearsal");
            fs::create_dir_all(&folder)?;
            let run = |case: &str| {
                let mut run = Command::new("unshare");
                run.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh"]);
                run.arg(cx.dirs.root.join(COPY));
                run.arg(&self.script).arg(case).arg(self.package);
                run.arg(&folder).args(&self.others);
                run
            };
            if !rustix::process::geteuid().is_root() {
                return Ok(skipped("needs root"));
            }
            if !cx.attempt(&mut run("copy"))?.0 {
                return Ok(skipped("needs overlays and namespaces"));
            }
            for case in self.cases {
                cx.run(&mut run(case))
                    .with_context(|| format!("the case {case}"))?;
            }
            Ok((format!("{} cases passed", self.cases.len()), None))
        })
    }
}

/// The names of the cases in a script.
#[cfg(test)]
pub(super) fn cases(script: &str) -> Vec<&str> {
    let (_, cases) = script.split_once("# The cases\n").expect("it has cases");
    let names = cases.lines().filter_map(|line| line.strip_suffix(')'));
    names
        .filter(|name| *name != "*" && !name.starts_with(' '))
        .collect()
}

fn skipped(why: &'static str) -> (String, Option<&'static str>) {
    (format!("skipped: {why}"), Some(why))
}

#[cfg(test)]
mod tests {
    use steps::Dirs;

    use super::super::{VCONSOLE_WEB, VCONSOLED};
    use super::*;

    #[test]
    fn every_case_is_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let dirs = Dirs {
            target: root.join("target"),
            root,
        };
        for recipe in [&VCONSOLED, &VCONSOLE_WEB] {
            let script = fs::read_to_string(sources(&dirs, recipe).join(SCRIPT)).unwrap();
            assert_eq!(cases(&script), recipe.cases);
        }
    }
}
