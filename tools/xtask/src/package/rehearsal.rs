// SPDX-License-Identifier: MIT
//! The package's scripts, run by dpkg on a copy of this machine that is gone
//! afterwards: what goes wrong while it is installed leaves one daemon or the
//! other serving.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use steps::Steps;

use super::Package;

const SCRIPT: &str = "tools/vconsoled/packaging/rehearsal.sh";

/// Its cases.
const CASES: [&str; 10] = [
    "first",
    "held",
    "unkillable",
    "no-room",
    "bad-configuration-first",
    "bad-configuration-upgrade",
    "bad-options",
    "policy",
    "two-versions",
    "again",
];

/// Each case with a copy of its own, for a package of this machine's; or why
/// there can be no copy here.
pub(super) fn rehearse(steps: &Steps, package: &Package) -> Result<Option<&'static str>> {
    steps.value("package scripts", |cx| {
        let folder = cx.dirs.target.join("package/rehearsal");
        fs::create_dir_all(&folder)?;
        let run = |case: &str| {
            let mut run = Command::new("unshare");
            run.args(["--mount", "--pid", "--fork", "--kill-child", "sh"]);
            run.arg(cx.dirs.root.join(SCRIPT)).arg(case);
            run.arg(&package.file).arg(&folder);
            run
        };
        if !rustix::process::geteuid().is_root() {
            return Ok(skipped("needs root"));
        }
        if !cx.attempt(&mut run("copy"))?.0 {
            return Ok(skipped("needs overlays and namespaces"));
        }
        for case in CASES {
            cx.run(&mut run(case))
                .with_context(|| format!("the case {case}"))?;
        }
        Ok((format!("{} cases hold", CASES.len()), None))
    })
}

fn skipped(why: &'static str) -> (String, Option<&'static str>) {
    (format!("skipped: {why}"), Some(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_run() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let script = fs::read_to_string(path.join(SCRIPT)).unwrap();
        let (_, cases) = script.split_once("# The cases\n").unwrap();
        let cases: Vec<&str> = cases
            .lines()
            .filter_map(|line| line.strip_suffix(')'))
            .filter(|name| *name != "*" && !name.starts_with(' '))
            .collect();
        assert_eq!(cases, CASES);
    }
}
