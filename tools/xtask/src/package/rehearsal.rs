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

/// Each case with a copy of its own, for a package of this machine's.
pub(super) fn rehearse(steps: &Steps, package: &Package) -> Result<()> {
    steps.always("package scripts", |cx| {
        if let Some(why) = why_not() {
            return Ok(format!("skipped: {why}"));
        }
        let folder = cx.dirs.target.join("package/rehearsal");
        fs::create_dir_all(&folder)?;
        for case in CASES {
            let mut run = Command::new("unshare");
            run.args(["--mount", "--pid", "--fork", "--kill-child", "sh"]);
            run.arg(cx.dirs.root.join(SCRIPT)).arg(case);
            cx.run(run.arg(&package.file).arg(&folder))
                .with_context(|| format!("the case {case}"))?;
        }
        Ok(format!("{} cases hold", CASES.len()))
    })
}

/// Why it cannot be done here.
fn why_not() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    let mut unshare = Command::new("unshare");
    let may = unshare
        .args(["--mount", "--pid", "--fork", "true"])
        .output();
    let may = may.is_ok_and(|output| output.status.success());
    (!may).then_some("needs a mount namespace, which this machine refuses")
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
