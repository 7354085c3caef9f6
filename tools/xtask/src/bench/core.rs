// SPDX-License-Identifier: MIT
//! The device alone, on this machine: instructions of each kind of access, counted by
//! callgrind, within a budget that is part of the repository.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use steps::{Cx, Steps, cargo, write};

use crate::debian::host;

/// Accesses of which a figure is the mean. A ring has room for so many.
const COUNT: u32 = 1000;

/// How much a figure may exceed its budget.
const SLACK: f64 = 1.02;

/// Measure the device alone, in instructions of this machine
#[derive(clap::Args)]
pub(crate) struct Core {
    /// Set the budget to the measured figures
    #[arg(long)]
    accept: bool,
}

/// Instructions per access, by case. They are whole numbers apart from the host's own
/// start, which is the same with and without accesses.
type Figures = BTreeMap<String, f64>;

impl Core {
    /// Measures and prints the table. Returns whether the budget holds.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        host::prepare(steps)?;
        let found = measure(steps)?;
        let path = budget_file(steps);
        if self.accept {
            write(&path, show(&found))?;
            println!("{} is written", path.display());
        }
        let budget = read(&path)?;
        println!();
        println!(
            "{:<24}{:>10}{:>10}",
            "instructions an access", "now", "budget"
        );
        for (case, now) in &found {
            let allowed = budget.get(case).map_or("-".into(), |b| format!("{b:.1}"));
            println!("{case:<24}{now:>10.1}{allowed:>10}");
        }
        let broken = broken(&found, &budget);
        for line in &broken {
            println!("    {line}");
        }
        Ok(broken.is_empty())
    }
}

/// Measures, and returns an exceeded budget as an error.
pub(crate) fn check(steps: &Steps) -> Result<()> {
    let broken = broken(&measure(steps)?, &read(&budget_file(steps))?);
    ensure!(
        broken.is_empty(),
        "{}; if that is intended: cargo xtask bench core --accept",
        broken.join("; ")
    );
    Ok(())
}

/// The figures depend on the instruction set.
fn budget_file(steps: &Steps) -> PathBuf {
    let name = format!("budget-{}.toml", std::env::consts::ARCH);
    steps.dirs.root.join("hyp-shim").join("benches").join(name)
}

fn read(path: &Path) -> Result<Figures> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "there is no budget {}; cargo xtask bench core --accept makes one",
            path.display()
        )
    })?;
    toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

fn show(figures: &Figures) -> String {
    let mut text = "# SPDX-License-Identifier: MIT\n\
         # Instructions an access (hyp-shim/benches/core.rs). A figure more than 2 %\n\
         # above is an error; `cargo xtask bench core --accept` writes this file.\n\n"
        .to_owned();
    for (case, value) in figures {
        let _ = writeln!(text, "{case} = {value:.1}");
    }
    text
}

/// Figures above their budget, without one, or missing.
fn broken(found: &Figures, budget: &Figures) -> Vec<String> {
    let mut broken = Vec::new();
    for (case, now) in found {
        match budget.get(case) {
            None => broken.push(format!("{case} has no budget")),
            Some(budget) if *now > budget * SLACK => {
                broken.push(format!("{case} takes {now:.1}, more than {budget:.1}"));
            }
            Some(_) => {}
        }
    }
    let gone = budget.keys().filter(|case| !found.contains_key(*case));
    broken.extend(gone.map(|case| format!("{case} is not measured")));
    broken
}

fn measure(steps: &Steps) -> Result<Figures> {
    steps.value("bench core", |cx| {
        let program = build(cx)?;
        let cases = cx.output(&mut Command::new(&program))?;
        let mut figures = Figures::new();
        for case in cases.lines() {
            // An argument of the same length, so that the stack is the same.
            let none = count(cx, &program, case, 0)?;
            let all = count(cx, &program, case, COUNT)?;
            let each = f64::from(all.saturating_sub(none)) / f64::from(COUNT);
            figures.insert(case.to_owned(), each);
        }
        ensure!(!figures.is_empty(), "{} has no cases", program.display());
        Ok((format!("{} figures", figures.len()), figures))
    })
}

/// The program, built as the hypervisor's object is, but for this machine.
fn build(cx: &Cx) -> Result<PathBuf> {
    let messages = cx.output(
        cargo::locked("bench")
            .args(["--package", "hyp-shim", "--bench", "core"])
            .args(["--profile", "hypervisor", "--no-run"])
            .args(["--message-format", "json"])
            .current_dir(&cx.dirs.root),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["kind"][0] == "bench")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo's output names no program")
}

/// The instructions of a whole run.
fn count(cx: &Cx, program: &Path, case: &str, times: u32) -> Result<u32> {
    let profile = cx.dirs.target.join("tmp/callgrind.out");
    fs::create_dir_all(cx.dirs.target.join("tmp"))?;
    let said = cx.output(
        Command::new("valgrind")
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", profile.display()))
            .arg("--log-fd=1")
            .arg(program)
            .arg(case)
            .arg(format!("{times:04}")),
    )?;
    collected(&said)
}

/// The total that callgrind prints at its end.
fn collected(said: &str) -> Result<u32> {
    for line in said.lines() {
        if let Some((_, number)) = line.split_once("Collected :") {
            return Ok(number.trim().parse()?);
        }
    }
    bail!("callgrind printed no count: {said:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(figures: &[(&str, f64)]) -> Figures {
        figures
            .iter()
            .map(|(case, value)| ((*case).to_owned(), *value))
            .collect()
    }

    #[test]
    fn a_budget_is_exceeded_by_more_than_two_percent() {
        let budget = figures(&[("dr_write", 100.0)]);
        assert!(broken(&figures(&[("dr_write", 102.0)]), &budget).is_empty());
        assert!(broken(&figures(&[("dr_write", 50.0)]), &budget).is_empty());
        let broken = broken(&figures(&[("dr_write", 102.1)]), &budget);
        assert_eq!(broken, ["dr_write takes 102.1, more than 100.0"]);
    }

    #[test]
    fn budget_and_cases_are_the_same() {
        let one = figures(&[("dr_write", 100.0)]);
        assert_eq!(broken(&one, &figures(&[])), ["dr_write has no budget"]);
        assert_eq!(broken(&figures(&[]), &one), ["dr_write is not measured"]);
    }

    #[test]
    fn a_budget_is_read_as_it_is_written() {
        let found = figures(&[("dr_write", 114.0), ("fr_read", 71.5)]);
        let read: Figures = toml::from_str(&show(&found)).unwrap();
        assert_eq!(read, found);
    }

    #[test]
    fn callgrinds_sum_is_found() {
        let said = "==1== Events    : Ir\n==1== Collected : 408744\n";
        assert_eq!(collected(said).unwrap(), 408_744);
        assert!(collected("==1== Fatal error\n").is_err());
    }
}
