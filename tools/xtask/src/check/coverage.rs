// SPDX-License-Identifier: MIT
//! `cargo xtask coverage`: the lines and branches of `src/` that its own tests reach,
//! measured by cargo-llvm-cov.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;
use steps::{Key, Steps, cargo, install};

const VERSION: &str = "0.9.1";

/// The required coverage, in percent.
const GOAL: f64 = 97.0;

/// The tests of the device; those of other crates also use it.
const TESTS: [&str; 4] = [
    "--package=vpl011",
    "--test=model",
    "--test=ring",
    "--locked",
];

/// Measure how much of src/ its tests cover
#[derive(clap::Args)]
pub(crate) struct Options;

/// Measures and prints the table. Returns whether the goal is met.
pub(crate) fn run(steps: &Steps) -> Result<bool> {
    steps.run("llvm tools", Key::default(), &[], |cx| {
        cx.run(
            Command::new("rustup")
                .args(["component", "add", "llvm-tools"])
                .current_dir(&cx.dirs.root),
        )?;
        Ok("installed".into())
    })?;
    let program = install(steps, "cargo-llvm-cov", VERSION, &[])?;
    let (table, exported) = steps.value("coverage", |cx| {
        let measure = |words: &[&str]| {
            let mut command = Command::new(&program);
            command
                .arg("llvm-cov")
                .args(words)
                .env("CARGO", cargo::program())
                .env("CARGO_TARGET_DIR", cx.dirs.target.join("coverage"))
                // The flag for branches is not stable.
                .env("RUSTC_BOOTSTRAP", "1")
                .current_dir(&cx.dirs.root);
            command
        };
        cx.run(&mut measure(&["clean", "--profraw-only", "--workspace"]))?;
        cx.run(measure(&["--branch", "--no-report"]).args(TESTS))?;
        let report = |form: &str| cx.output(&mut measure(&["report", "--branch", form]));
        let exported: Value = serde_json::from_str(&report("--json")?)?;
        Ok((
            "measured".into(),
            (report("--show-missing-lines")?, exported),
        ))
    })?;
    println!("{table}");
    for way in not_taken(&exported, &steps.dirs.root)? {
        println!("{way}");
    }
    is_met(&exported)
}

/// The directions of branches that no test takes. A generic function's are exported
/// once for each of its types.
fn not_taken(exported: &Value, root: &Path) -> Result<Vec<String>> {
    let mut ways: BTreeMap<(&str, u64, u64), [u64; 2]> = BTreeMap::new();
    let number = |value: &Value| value.as_u64().context("a branch is made of numbers");
    let files = exported["data"][0]["files"].as_array();
    for file in files.context("no files")? {
        let name = file["filename"].as_str().context("a file has a name")?;
        for branch in file["branches"].as_array().into_iter().flatten() {
            let place = (name, number(&branch[0])?, number(&branch[1])?);
            let counts = ways.entry(place).or_default();
            counts[0] += number(&branch[4])?;
            counts[1] += number(&branch[5])?;
        }
    }
    let mut named = Vec::new();
    for ((name, line, column), counts) in ways {
        let name = Path::new(name)
            .strip_prefix(root)
            .unwrap_or(Path::new(name));
        for (way, _) in ["true", "false"]
            .iter()
            .zip(counts)
            .filter(|way| way.1 == 0)
        {
            named.push(format!("{}:{line}:{column} is never {way}", name.display()));
        }
    }
    Ok(named)
}

/// Whether enough lines are reached, and enough directions of branches taken.
fn is_met(exported: &Value) -> Result<bool> {
    let mut met = true;
    for what in ["lines", "branches"] {
        let percent = exported["data"][0]["totals"][what]["percent"].as_f64();
        met &= percent.with_context(|| format!("no total of {what}"))? >= GOAL;
    }
    Ok(met)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_way_that_some_type_takes_is_taken() {
        let branch =
            |line: u64, taken: u64, not: u64| json!([line, 9, line, 12, taken, not, 0, 0, 4]);
        let exported = json!({ "data": [{ "files": [{
            "filename": "/root/src/a.rs",
            "branches": [branch(3, 7, 0), branch(3, 0, 1), branch(5, 0, 2), branch(5, 0, 0), branch(8, 4, 0)],
        }]}]});
        assert_eq!(
            not_taken(&exported, Path::new("/root")).unwrap(),
            ["src/a.rs:5:9 is never true", "src/a.rs:8:9 is never false"]
        );
    }

    #[test]
    fn both_totals_count() {
        let met = |lines: f64, branches: f64| {
            let totals = json!({ "lines": {"percent": lines}, "branches": {"percent": branches} });
            is_met(&json!({ "data": [{ "totals": totals }]}))
        };
        assert!(met(97.0, 100.0).unwrap());
        assert!(!met(96.9, 100.0).unwrap() && !met(100.0, 96.9).unwrap());
        assert!(is_met(&json!({})).is_err());
    }
}
