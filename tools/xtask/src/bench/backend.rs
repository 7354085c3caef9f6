// SPDX-License-Identifier: MIT
//! The console daemon with many guests, on the fake host: a separate process, measured
//! from outside. The time is this machine's, so the figures vary between runs.

use anyhow::{Context, Result};
use steps::{Steps, cargo};

use super::figures::Found;

/// Measure the console daemon with many guests
#[derive(clap::Args)]
pub(crate) struct Backend {
    /// Guests, of two consoles each
    #[arg(long, default_value_t = 1000)]
    guests: u32,
}

/// A line of the table: a figure, its title, its unit, and its limit.
type Line = (&'static str, &'static str, &'static str, Option<f64>);

/// MiB for a thousand guests; fewer have no goal.
const RESIDENT: f64 = 48.0;

const LINES: [Line; 27] = [
    ("start_s", "until all are served", "s", None),
    (
        "throughput_mib_a_second",
        "all print at once",
        "MiB/s",
        None,
    ),
    ("cpu_ms_a_mib", "processor time for that", "ms/MiB", None),
    ("wake_median_us", "guest's byte to pty, median", "us", None),
    ("wake_p99_us", "the same, 99 of 100", "us", None),
    (
        "beside_noise_median_us",
        "beside a guest that floods, median",
        "us",
        None,
    ),
    (
        "beside_noise_p99_us",
        "the same, 99 of 100",
        "us",
        Some(10_000.0),
    ),
    ("beside_noise_worst_us", "the same, worst", "us", None),
    (
        "beside_noise_p99_cpu_us",
        "event loop's work before it, 99 of 100",
        "us",
        None,
    ),
    (
        "beside_noise_worst_cpu_us",
        "the same, worst",
        "us",
        Some(10_000.0),
    ),
    (
        "beside_noise_p99_bytes",
        "the flood's bytes in that time, 99 of 100",
        "",
        None,
    ),
    ("beside_noise_worst_bytes", "the same, worst", "", None),
    (
        "idle_cpu_percent",
        "processor time when idle",
        "%",
        Some(0.0),
    ),
    (
        "idle_wakeups_a_second",
        "wake-ups when idle",
        "a second",
        Some(0.0),
    ),
    (
        "rss_at_start_mib",
        "resident memory, at first",
        "MiB",
        Some(RESIDENT),
    ),
    ("rss_mib", "at the end", "MiB", Some(RESIDENT)),
    ("rss_peak_mib", "at most", "MiB", Some(RESIDENT)),
    ("open_files", "open files", "", None),
    ("consoles", "consoles, none of which lost a byte", "", None),
    (
        "web_viewers",
        "then viewers by vconsole-web, among them",
        "",
        None,
    ),
    (
        "beside_web_median_us",
        "beside a guest that floods, median",
        "us",
        None,
    ),
    (
        "beside_web_p99_us",
        "the same, 99 of 100",
        "us",
        Some(10_000.0),
    ),
    ("beside_web_worst_us", "the same, worst", "us", None),
    (
        "beside_web_worst_cpu_us",
        "event loop's work before it, worst",
        "us",
        Some(10_000.0),
    ),
    (
        "web_seen_mib",
        "output that the viewers got, exact",
        "MiB",
        None,
    ),
    (
        "web_lost_mib",
        "lost bytes that were reported to them",
        "MiB",
        None,
    ),
    (
        "web_rss_mib",
        "memory of vconsole-web at most",
        "MiB",
        Some(64.0),
    ),
];

/// The measuring programs: a package, a test in it, and the variable with the number of
/// guests.
const PROGRAMS: [(&str, &str, &str); 2] = [
    ("vconsoled", "scale", "VCONSOLED_SCALE_GUESTS"),
    ("vconsole-web", "crowd", "VCONSOLE_WEB_CROWD_GUESTS"),
];

impl Backend {
    /// Measures and prints the table. Returns whether every goal is met.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let found: Found = steps.value("bench backend", |cx| {
            let mut all = Found::new();
            for (package, target, variable) in PROGRAMS {
                let test = |more: &[&str]| {
                    let mut command = cargo::locked("test");
                    command
                        .args(["--release", "--package", package, "--test", target])
                        .args(more)
                        .env(variable, self.guests.to_string())
                        .current_dir(&steps.dirs.root);
                    command
                };
                cx.run(&mut test(&["--no-run"]))?;
                let said = cx.output(&mut test(&["--quiet"]))?;
                let last = said.lines().last().unwrap_or_default();
                let found: Found = serde_json::from_str(last)
                    .with_context(|| format!("{target} printed {last:?}"))?;
                all.extend(found);
            }
            Ok((format!("{} guests", self.guests), all))
        })?;
        println!();
        let mut missed = 0;
        for (name, title, unit, goal) in LINES {
            let value = *found.get(name).with_context(|| format!("no {name}"))?;
            let goal = match goal.map(|goal| (goal, value <= goal)) {
                None => String::new(),
                Some((goal, true)) => format!("met, at most {goal}"),
                Some((goal, false)) => {
                    missed += 1;
                    format!("MISSED, at most {goal}")
                }
            };
            println!("{title:<42}{value:>12.1} {unit:<9} {goal}");
        }
        println!("{} figures, {missed} goals missed", LINES.len());
        Ok(missed == 0)
    }
}
