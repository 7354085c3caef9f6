// SPDX-License-Identifier: MIT
//! `cargo xtask fuzz`: the targets of `fuzz/`, built with libFuzzer's
//! instrumentation and its address sanitizer by the pinned stable compiler.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;
use steps::{Cx, Dirs, Steps, cargo, files, write};

use crate::debian::host::{self, rust_target};

/// Each target, and how many runs of it `cargo xtask test` has.
const TARGETS: [(&str, u64); 9] = [
    ("mmio", 3_000),
    ("ring_peer", 300),
    ("snapshot", 30_000),
    ("trap", 30_000),
    ("xenstore", 1_500),
    ("session", 60),
    ("rules", 80),
    ("browser", 400),
    ("hvm_param", 50_000),
];

/// The flags of `cargo fuzz`; only the sanitizer needs permission for unstable flags.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Zsanitizer=address",
    "-Ccodegen-units=1",
];

/// Look for inputs that break the device, the ring, the daemon, the pages or the glue
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// Write the results to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these targets
    #[arg(value_parser = TARGETS.map(|(name, _)| name))]
    targets: Vec<String>,
}

/// How long a target runs, and its first inputs.
#[derive(Clone, Copy)]
enum Extent {
    /// The same runs each time, from the seeds.
    Runs(u64),
    /// As many as the time allows, from all earlier findings.
    Seconds(u64),
}

/// The result of one target.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Found {
    runs: u64,
    /// Edges of the code that were reached.
    edges: u64,
    /// Inputs that each reach something new.
    corpus: u64,
    /// libFuzzer's message of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl Options {
    /// Runs them. Returns whether all passed.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        build(steps)?;
        let mut all = BTreeMap::new();
        for (name, _) in TARGETS {
            if !self.targets.is_empty() && !self.targets.iter().any(|one| one == name) {
                continue;
            }
            let mut found = Found::default();
            if let Err(error) = fuzz(steps, name, Extent::Seconds(self.seconds), &mut found) {
                println!("    FAILED {error:#}");
                found.failure = Some(format!("{error:#}"));
            }
            all.insert(name, found);
        }
        if let Some(path) = &self.json {
            write(path, serde_json::to_string_pretty(&all)?)?;
        }
        let broken = all.values().filter(|found| found.failure.is_some()).count();
        println!("{} targets, {broken} broken", all.len());
        Ok(broken == 0)
    }
}

/// A short run of each target, the same each time.
pub(crate) fn quick(steps: &Steps) -> Vec<Result<()>> {
    if let Err(error) = build(steps) {
        return vec![Err(error)];
    }
    TARGETS
        .iter()
        .map(|&(name, runs)| fuzz(steps, name, Extent::Runs(runs), &mut Found::default()))
        .collect()
}

fn folder(dirs: &Dirs) -> PathBuf {
    dirs.target.join("fuzz")
}

fn program(dirs: &Dirs, name: &str) -> PathBuf {
    folder(dirs).join(rust_target()).join("release").join(name)
}

fn seeds(dirs: &Dirs) -> PathBuf {
    folder(dirs).join("seeds")
}

/// Builds the targets and has them make their seeds.
fn build(steps: &Steps) -> Result<()> {
    steps.always("fuzz targets", |cx| {
        let mut build = cargo::locked("build");
        // libFuzzer is C++.
        host::with_cache(&mut build, cx.dirs, &[])?;
        cx.run(
            build
                // With a named target, the flags do not apply to build scripts.
                .args(["--release", "--bins", "--target", &rust_target()])
                .env("CARGO_TARGET_DIR", folder(cx.dirs))
                .env("RUSTFLAGS", FLAGS.join(" "))
                .env("RUSTC_BOOTSTRAP", "1")
                .current_dir(cx.dirs.root.join("fuzz")),
        )?;
        cx.run(Command::new(program(cx.dirs, "seeds")).arg(seeds(cx.dirs)))?;
        Ok(format!("{} built", TARGETS.len()))
    })
}

fn fuzz(steps: &Steps, name: &str, extent: Extent, found: &mut Found) -> Result<()> {
    steps.always(&format!("fuzz {name}"), |cx| {
        let ran = run(cx, name, extent);
        *found = read(&fs::read_to_string(cx.log())?);
        ran?;
        let said = format!("{} runs, {} edges reached", found.runs, found.edges);
        Ok(said)
    })
}

fn run(cx: &Cx, name: &str, extent: Extent) -> Result<()> {
    let broken = folder(cx.dirs).join("broken").join(name);
    let corpus = folder(cx.dirs).join("corpus").join(name);
    let (corpus, bound) = match extent {
        Extent::Seconds(seconds) => (corpus, format!("-max_total_time={seconds}")),
        Extent::Runs(runs) => {
            let short = corpus.with_extension("short");
            files::remove(&short)?;
            (short, format!("-runs={runs}"))
        }
    };
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&broken)?;
    cx.run(
        Command::new(program(cx.dirs, name))
            .args(["-seed=1", "-print_final_stats=1", "-detect_leaks=0"])
            .args(["-timeout=60", "-rss_limit_mb=2048", "-max_len=4096"])
            .arg(bound)
            .arg(format!("-artifact_prefix={}/", broken.display()))
            .arg(&corpus)
            .arg(seeds(cx.dirs).join(name)),
    )
    .with_context(|| format!("{name} fails on an input: see {}", broken.display()))
}

/// The last status line of libFuzzer: `#1024 pulse cov: 81 ft: 94 corp: 12/…`.
fn read(log: &str) -> Found {
    let number = |line: &str, after: &str| {
        let (_, rest) = line.split_once(after)?;
        let digits = rest
            .trim_start()
            .split(|c: char| !c.is_ascii_digit())
            .next()?;
        digits.parse().ok()
    };
    let mut found = Found::default();
    for line in log.lines() {
        found.edges = number(line, " cov: ").unwrap_or(found.edges);
        found.corpus = number(line, " corp: ").unwrap_or(found.corpus);
        found.runs = number(line, "stat::number_of_executed_units:").unwrap_or(found.runs);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuzzer_s_output_is_parsed() {
        let log = "INFO: Seed: 1\n\
                   #2\tINITED cov: 5 ft: 6 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #512\tpulse  cov: 81 ft: 94 corp: 12/40b lim: 4 exec/s: 256 rss: 31Mb\n\
                   Done 600 runs in 2 second(s)\n\
                   stat::number_of_executed_units: 600\n";
        let expected = Found {
            runs: 600,
            edges: 81,
            corpus: 12,
            failure: None,
        };
        assert_eq!(read(log), expected);
        assert_eq!(read("it did not start"), Found::default());
    }
}
