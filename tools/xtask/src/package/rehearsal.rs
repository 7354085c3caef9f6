// SPDX-License-Identifier: MIT
//! A package's scripts, run by dpkg on a temporary copy of this machine. Of the
//! daemon's: an error during the installation leaves one daemon or the other serving.
//! Of the pages': they are reachable only from this machine unless configured
//! otherwise, and a purge leaves nothing.

use std::fs;
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

/// Runs each case on its own copy, for a package of this machine; or returns why no
/// copy can be made here.
pub(super) fn rehearse(
    steps: &Steps,
    package: &Package,
    recipe: &Recipe,
) -> Result<Option<&'static str>> {
    let others = match recipe.others {
        Some(set) => steps.pins(set)?.of(host::architecture()),
        None => Pins(Vec::new()),
    };
    steps.value(&format!("package {} scripts", recipe.name), |cx| {
        let folder = cx.dirs.target.join("package/rehearsal");
        fs::create_dir_all(&folder)?;
        let run = |case: &str| {
            let mut run = Command::new("unshare");
            run.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh"]);
            run.arg(cx.dirs.root.join(COPY));
            run.arg(sources(cx.dirs, recipe).join(SCRIPT)).arg(case);
            run.arg(&package.file).arg(&folder);
            run
        };
        if !rustix::process::geteuid().is_root() {
            return Ok(skipped("needs root"));
        }
        if !cx.attempt(&mut run("copy"))?.0 {
            return Ok(skipped("needs overlays and namespaces"));
        }
        let others = cx.fetch(&others)?;
        for case in recipe.cases {
            cx.run(run(case).args(&others))
                .with_context(|| format!("the case {case}"))?;
        }
        Ok((format!("{} cases passed", recipe.cases.len()), None))
    })
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
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let dirs = Dirs {
            target: root.join("target"),
            root,
        };
        for recipe in [&VCONSOLED, &VCONSOLE_WEB] {
            let script = fs::read_to_string(sources(&dirs, recipe).join(SCRIPT)).unwrap();
            let (_, cases) = script.split_once("# The cases\n").unwrap();
            let cases: Vec<&str> = cases
                .lines()
                .filter_map(|line| line.strip_suffix(')'))
                .filter(|name| *name != "*" && !name.starts_with(' '))
                .collect();
            assert_eq!(cases, recipe.cases);
        }
    }
}
