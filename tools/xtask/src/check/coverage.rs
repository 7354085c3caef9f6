// SPDX-License-Identifier: MIT
//! `cargo xtask coverage`: which lines and branches of `src/` its own tests
//! reach, by the compiler's instrumentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::engine::cargo;
use crate::engine::step::{Cx, Key, Steps};

/// What must be reached, in percent.
const GOAL: f64 = 97.0;

/// The tests that are about the device; the other crates' use it too.
const TESTS: [&str; 4] = ["--package", "vpl011", "--test=model", "--test=ring"];

/// Measure how much of src/ its tests reach
#[derive(clap::Args)]
pub(crate) struct Options;

/// How often each line, and each way of each branch, was taken.
#[derive(Default)]
struct Taken {
    lines: BTreeMap<u64, u64>,
    branches: BTreeMap<(u64, u64), [u64; 2]>,
}

/// Measures and prints the table. Whether the goal is met.
pub(crate) fn run(steps: &Steps) -> Result<bool> {
    steps.run("llvm tools", Key::default(), &[], |cx| {
        cx.run(
            Command::new("rustup")
                .args(["component", "add", "llvm-tools"])
                .current_dir(&cx.dirs.root),
        )?;
        Ok("installed".into())
    })?;
    let files = steps.always("coverage", |cx| {
        let files = measure(cx)?;
        Ok((format!("{} files", files.len()), files))
    })?;
    Ok(print(&files))
}

/// Runs the tests, and adds up what they left behind.
fn measure(cx: &Cx) -> Result<BTreeMap<String, Taken>> {
    let target = cx.dirs.target.join("coverage");
    let raw = target.join("raw");
    if raw.exists() {
        fs::remove_dir_all(&raw)?;
    }
    let test = |more: &[&str]| {
        let mut command = cargo::locked("test");
        command
            .args(TESTS)
            .args(more)
            .env("CARGO_TARGET_DIR", &target)
            .env("LLVM_PROFILE_FILE", raw.join("%p-%m.profraw"))
            // Branches are counted by a flag that is not stable.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(
                "RUSTFLAGS",
                "-Cinstrument-coverage -Zcoverage-options=branch",
            )
            .current_dir(&cx.dirs.root);
        command
    };
    cx.run(&mut test(&[]))?;
    let built = cx.output(&mut test(&["--no-run", "--message-format=json"]))?;
    let programs = programs(&built);
    ensure!(!programs.is_empty(), "no test was built");
    let tools = tools(cx)?;
    let all = target.join("all.profdata");
    cx.run(
        Command::new(tools.join("llvm-profdata"))
            .args(["merge", "--sparse", "--output"])
            .arg(&all)
            .arg(&raw),
    )?;
    let mut export = Command::new(tools.join("llvm-cov"));
    export.arg("export").arg("--instr-profile").arg(&all);
    for program in &programs {
        export.arg("--object").arg(program);
    }
    export.arg("--sources").arg(cx.dirs.root.join("src"));
    let exported: Value = serde_json::from_str(&cx.output(&mut export)?)?;
    read(&exported, &cx.dirs.root.join("src"))
}

/// The programs that cargo has built.
fn programs(messages: &str) -> BTreeSet<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .collect()
}

/// Where rustup puts the component.
fn tools(cx: &Cx) -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--print", "target-libdir"])
        .current_dir(&cx.dirs.root);
    let libraries = PathBuf::from(cx.output(&mut rustc)?.trim());
    let target = libraries.parent().context("rustc has no folder")?;
    Ok(target.join("bin"))
}

/// What `llvm-cov export` says: per function, and so per type that a generic
/// one is for, regions with their counts. A line is as reached as the most
/// reached of its regions that ends there or goes on.
fn read(exported: &Value, sources: &Path) -> Result<BTreeMap<String, Taken>> {
    let number = |value: &Value| value.as_u64().context("a region is made of numbers");
    let mut files: BTreeMap<String, Taken> = BTreeMap::new();
    for file in exported["data"][0]["files"]
        .as_array()
        .context("no files")?
    {
        let path = Path::new(file["filename"].as_str().unwrap_or_default());
        let Ok(name) = path.strip_prefix(sources) else {
            continue;
        };
        let taken = files.entry(name.display().to_string()).or_default();
        let text = fs::read_to_string(path)?;
        lines(file, &text, taken)?;
        for branch in file["branches"].as_array().into_iter().flatten() {
            let place = (number(&branch[0])?, number(&branch[1])?);
            let ways = taken.branches.entry(place).or_default();
            ways[0] += number(&branch[4])?;
            ways[1] += number(&branch[5])?;
        }
    }
    Ok(files)
}

/// The counts of lines, from the segments that llvm-cov has merged: each says
/// what is counted from its place on.
fn lines(file: &Value, text: &str, taken: &mut Taken) -> Result<()> {
    let mut segments = Vec::new();
    for segment in file["segments"].as_array().into_iter().flatten() {
        let line = segment[0].as_u64().context("a segment has a line")?;
        let count = segment[2].as_u64().context("a segment has a count")?;
        let counted = segment[3].as_bool().unwrap_or(false);
        let gap = segment[5].as_bool().unwrap_or(false);
        segments.push((line, counted.then_some(count), gap));
    }
    let mut segments = segments.into_iter().peekable();
    let mut going_on = None;
    for (line, source) in (1..).zip(text.lines()) {
        let mut best: Option<u64> = going_on;
        while let Some((_, count, gap)) = segments.next_if(|segment| segment.0 == line) {
            going_on = count;
            if !gap {
                best = best.max(count);
            }
        }
        let source = source.trim();
        let is_code = source.chars().any(char::is_alphanumeric) && !source.starts_with("//");
        if let (true, Some(count)) = (is_code, best) {
            taken.lines.insert(line, count);
        }
    }
    Ok(())
}

/// The table, and what was not reached. Whether the goal is met.
fn print(files: &BTreeMap<String, Taken>) -> bool {
    let mut all = [(0, 0); 2];
    println!("{:<20} {:>16} {:>16}", "src/", "lines", "branches");
    for (name, taken) in files {
        let lines = (
            taken.lines.values().filter(|&&count| count > 0).count(),
            taken.lines.len(),
        );
        let ways = taken.branches.values().flatten();
        let branches = (
            ways.clone().filter(|&&count| count > 0).count(),
            ways.count(),
        );
        println!("{name:<20} {:>16} {:>16}", share(lines), share(branches));
        for (all, file) in all.iter_mut().zip([lines, branches]) {
            *all = (all.0 + file.0, all.1 + file.1);
        }
    }
    println!("{:<20} {:>16} {:>16}", "all", share(all[0]), share(all[1]));
    for (name, taken) in files {
        for (line, _) in taken.lines.iter().filter(|(_, count)| **count == 0) {
            println!("src/{name}:{line} is not reached");
        }
        for ((line, column), [yes, no]) in &taken.branches {
            if *yes == 0 || *no == 0 {
                let way = if *yes == 0 { "true" } else { "false" };
                println!("src/{name}:{line}:{column} is never {way}");
            }
        }
    }
    all.into_iter().all(|part| percent(part) >= GOAL)
}

#[expect(clippy::cast_precision_loss, reason = "lines are counted in thousands")]
fn percent((reached, of): (usize, usize)) -> f64 {
    if of == 0 {
        return 100.0;
    }
    reached as f64 * 100.0 / of as f64
}

fn share(part: (usize, usize)) -> String {
    format!("{}/{} {:.1} %", part.0, part.1, percent(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_counts_as_its_most_reached_region() {
        let text = "fn a() {\n    if b {\n        c();\n    }\n}\n";
        let file = json!({ "segments": [
            [1, 1, 7, true, true, false],
            [2, 10, 0, true, true, false],
            [4, 6, 7, true, false, false],
            [5, 2, 0, false, false, false],
        ]});
        let mut taken = Taken::default();
        lines(&file, text, &mut taken).unwrap();
        assert_eq!(taken.lines, BTreeMap::from([(1, 7), (2, 7), (3, 0)]));
    }

    #[test]
    fn a_share_of_nothing_is_all_of_it() {
        assert_eq!(share((0, 0)), "0/0 100.0 %");
        assert_eq!(share((97, 100)), "97/100 97.0 %");
    }
}
