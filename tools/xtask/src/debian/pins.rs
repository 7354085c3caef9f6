// SPDX-License-Identifier: MIT
//! `cargo xtask pins`.

use anyhow::{Context, Result};
use clap::Subcommand;
use pins::{Found, Lock, Pins};
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
    let lock = Lock::read(&steps.lock)?;
    steps.quietly("pins check", |cx| {
        cx.with_fetcher(|fetcher| say(&fetcher.search(&lock.pins, stored)?))
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

/// For `cargo xtask doctor`: fetches every pin. Returns how many there are.
pub(crate) fn check(steps: &Steps) -> Result<usize> {
    search(steps, true, |found| {
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
