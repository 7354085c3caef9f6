// SPDX-License-Identifier: MIT
//! `cargo xtask mutants`: `src/` with one thing changed at a time, by
//! cargo-mutants. A change that no test notices is a line that no test is
//! about.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::install;
use crate::dirs::cargo;
use crate::step::Steps;

const VERSION: &str = "27.1.0";

/// What must be noticed, in percent.
const GOAL: usize = 90;

/// Change src/ in many small ways, each of which some test must notice
#[derive(clap::Args)]
pub(crate) struct Options {
    /// One part of all changes, such as 1/8
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only changes in these files, such as src/fifo.rs
    files: Vec<String>,
}

impl Options {
    /// Runs them and prints which went unnoticed. Whether enough did not.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let program = install(steps, "cargo-mutants", VERSION, &[])?;
        let output = steps.dirs.target.join("mutants");
        steps.always("mutants", |cx| {
            fs::create_dir_all(&output)?;
            let mut command = Command::new(&program);
            command
                .args(["mutants", "--package", "vpl011", "--no-shuffle"])
                .args(["--jobs", "1", "--timeout-multiplier", "10"])
                .arg("--output")
                .arg(&output)
                .env("CARGO", cargo())
                .current_dir(&cx.dirs.root);
            if let Some(shard) = &self.shard {
                command.args(["--shard", shard]);
            }
            if self.files.is_empty() {
                command.args(["--file", "src/**"]);
            }
            for file in &self.files {
                command.args(["--file", file]);
            }
            // The tests that are about the device.
            command.args(["--", "--test=model", "--test=ring"]);
            // It fails when anything went unnoticed, which is looked at below.
            if let Err(error) = cx.run(&mut command) {
                let outcomes = output.join("mutants.out/outcomes.json");
                outcomes.exists().then_some(()).ok_or(error)?;
            }
            Ok((String::new(), ()))
        })?;
        let outcomes = output.join("mutants.out/outcomes.json");
        let text = fs::read_to_string(&outcomes)
            .with_context(|| format!("reading {}", outcomes.display()))?;
        Ok(print(&serde_json::from_str(&text)?))
    }
}

/// What became of each change. Whether enough were noticed.
fn print(outcomes: &Value) -> bool {
    let (mut noticed, mut unnoticed) = (0, Vec::new());
    for outcome in outcomes["outcomes"].as_array().into_iter().flatten() {
        let name = outcome["scenario"]["Mutant"]["name"].as_str();
        match (name, outcome["summary"].as_str()) {
            // A test that never ends is one that noticed.
            (Some(_), Some("CaughtMutant" | "Timeout")) => noticed += 1,
            (Some(name), Some("MissedMutant")) => unnoticed.push(name),
            // The baseline, and what does not compile.
            _ => {}
        }
    }
    for name in &unnoticed {
        println!("unnoticed: {name}");
    }
    let all = noticed + unnoticed.len();
    println!("{noticed} of {all} changes noticed");
    noticed * 100 >= all * GOAL
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcomes(summaries: &[&str]) -> Value {
        let outcome = |summary: &&str| json!({ "scenario": { "Mutant": { "name": "a" } }, "summary": summary });
        let mut all: Vec<Value> = summaries.iter().map(outcome).collect();
        all.push(json!({ "scenario": "Baseline", "summary": "Success" }));
        json!({ "outcomes": all })
    }

    #[test]
    fn nine_of_ten_must_be_noticed() {
        let mut some = vec!["CaughtMutant"; 8];
        some.extend(["Timeout", "Unviable", "MissedMutant"]);
        assert!(print(&outcomes(&some)));
        some.push("MissedMutant");
        assert!(!print(&outcomes(&some)));
    }
}
