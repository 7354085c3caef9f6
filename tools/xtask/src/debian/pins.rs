// SPDX-License-Identifier: MIT
//! `cargo xtask pins`.

use anyhow::{Context, Result};
use clap::Subcommand;
use pins::{Found, Lock, Pin, Pins};
use serde_json::json;
use steps::{Key, Steps};

use crate::debian::packages::Packages;

/// The lock file, below the workspace.
pub(crate) const LOCK: &str = "tools/xtask/pins.lock";

/// What to do with the pins.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Fetch each pinned file, and print those that cannot be fetched
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// As if the store were empty
        #[arg(long)]
        no_store: bool,
    },
    /// Update the pins to the versions that the mirror's index lists now, and print
    /// the changes
    Update {
        /// Only these sets of packages.toml
        #[arg(value_name = "SET")]
        sets: Vec<String>,
    },
}

impl Command {
    /// Runs the command. Returns whether all pins are available.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        match self {
            Self::Check { json, no_store } => search(steps, !no_store, |found| {
                if *json {
                    println!("{:#}", report(found));
                } else {
                    print(found);
                }
                Ok(found.iter().all(|found| found.file.is_some()))
            }),
            Self::Update { sets } => update(steps, sets).map(|()| true),
        }
    }
}

/// Looks for every pin; `say` prints the results.
fn search<T>(steps: &Steps, stored: bool, say: impl FnOnce(&[Found]) -> Result<T>) -> Result<T> {
    search_for(steps, &Lock::read(&steps.lock)?.pins, stored, say)
}

/// The same for some pins.
fn search_for<T>(
    steps: &Steps,
    pins: &[Pin],
    stored: bool,
    say: impl FnOnce(&[Found]) -> Result<T>,
) -> Result<T> {
    steps.quietly("pins check", |cx| {
        cx.with_fetcher(|fetcher| say(&fetcher.search(pins, stored)?))
    })
}

fn report(found: &[Found]) -> serde_json::Value {
    let pin = |found: &Found| {
        let tried: Vec<_> = found.tried.iter().map(ToString::to_string).collect();
        json!({
            "name": found.pin.name,
            "version": found.pin.version,
            "architecture": found.pin.architecture,
            "file": found.pin.file(),
            "sha256": found.pin.sha256,
            "sets": found.pin.sets,
            "ok": found.file.is_some(),
            "origin": found.file.as_ref().map(|(_, origin)| origin),
            "tried": tried,
        })
    };
    let ok = found.iter().all(|found| found.file.is_some());
    json!({ "version": 1, "ok": ok, "pins": found.iter().map(pin).collect::<Vec<_>>() })
}

fn print(found: &[Found]) {
    let mut had = 0;
    for found in found {
        if let Some((_, origin)) = &found.file {
            had += 1;
            println!("ok       {}: {origin}", found.pin);
        } else {
            println!("MISSING  {:#}", found.error());
        }
    }
    println!("{had} of {} pins are available", found.len());
}

/// Sets that `doctor` leaves out, because only a scenario or an option by name needs
/// them: large files, and unstable's kernel, whose files leave the mirrors when there is
/// a newer one.
const BY_NAME_ALONE: [&str; 6] = [
    "armhf",
    "gdb",
    "install-bookworm",
    "linux-7.2",
    "linux-armmp",
    "linux-source",
];

/// Whether a whole run needs a pin.
fn is_usual(pin: &Pin) -> bool {
    let mut sets = pin.sets.iter();
    sets.any(|set| !BY_NAME_ALONE.contains(&set.as_str()))
}

/// For `cargo xtask doctor`: fetches every pin that a whole run needs. Returns how many
/// these are.
pub(crate) fn check(steps: &Steps) -> Result<usize> {
    let mut pins = Lock::read(&steps.lock)?.pins;
    pins.retain(is_usual);
    search_for(steps, &pins, true, |found| {
        match found.iter().find(|found| found.file.is_none()) {
            Some(found) => Err(found.error()),
            None => Ok(found.len()),
        }
    })
}

/// Moves some sets, or all, and prints the changes.
fn update(steps: &Steps, wanted: &[String]) -> Result<()> {
    let mut sets = Packages::read().sets();
    for name in wanted {
        let mut known = sets.iter().map(|set| set.name.as_str());
        known.find(|known| known == name).with_context(|| {
            let known: Vec<_> = sets.iter().map(|set| set.name.as_str()).collect();
            format!("no set `{name}`: there are {}", known.join(", "))
        })?;
    }
    sets.retain(|set| wanted.is_empty() || wanted.contains(&set.name));
    let mut lock = Lock::read(&steps.lock)?;
    steps.always("pins", |cx| {
        let moved = cx.with_fetcher(|fetcher| pins::update(fetcher, &mut lock, &sets))?;
        for change in &moved.changes {
            println!("    {change}");
        }
        lock.write(&steps.lock)?;
        Ok(format!("{} of {} sets moved", moved.sets, sets.len()))
    })
}

/// The key of a step that uses pins.
pub(crate) fn key(pins: &Pins) -> Key {
    pins.0
        .iter()
        .fold(Key::default(), |key, pin| key.text(&pin.sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_a_scenario_by_name_are_not_usual() {
        let sets = Packages::read().sets();
        for name in BY_NAME_ALONE {
            assert!(sets.iter().any(|set| set.name == name), "{name}");
        }
        let pin = |sets: &[&str]| Pin {
            name: "n".into(),
            version: "1".into(),
            architecture: "all".into(),
            release: "r".into(),
            date: "2026-01-01".into(),
            path: "pool/n".into(),
            size: 1,
            sha256: "0".into(),
            sets: sets.iter().map(|&set| set.to_owned()).collect(),
        };
        assert!(is_usual(&pin(&["gdb", "sysroot"])));
        assert!(!is_usual(&pin(&["gdb", "armhf"])));
    }
}
