// SPDX-License-Identifier: MIT
//! `cargo xtask pins`.

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use super::fetch::{Found, error, search};
use super::lock::Lock;
use super::update;
use crate::engine::step::{Cx, Steps};

/// What to do with the pins.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Fetch each pinned file, and print which cannot be had
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// As if the store were empty
        #[arg(long)]
        no_store: bool,
    },
    /// Move the pins to what the mirror's index lists now, and print what changed
    Update {
        /// Only these sets of packages.toml
        #[arg(value_name = "SET")]
        sets: Vec<String>,
    },
}

impl Command {
    /// Runs the command. Whether all pins can be had.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        match self {
            Self::Check { json, no_store } => {
                let lock = Lock::read(&steps.dirs)?;
                steps.quietly("pins check", |cx| {
                    let found = search(cx, &lock.pins, !no_store)?;
                    if *json {
                        println!("{:#}", report(&found));
                    } else {
                        print(cx, &found);
                    }
                    Ok(found.iter().all(|found| found.file.is_some()))
                })
            }
            Self::Update { sets } => update::update(steps, sets).map(|()| true),
        }
    }
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

fn print(cx: &Cx, found: &[Found]) {
    let mut had = 0;
    for found in found {
        if let Some((_, origin)) = &found.file {
            had += 1;
            println!("ok       {}: {origin}", found.pin);
        } else {
            println!("MISSING  {:#}", error(cx, found.pin, &found.tried));
        }
    }
    println!("{had} of {} pins can be had", found.len());
}

/// For `cargo xtask doctor`: fetches every pin. Returns how many there are.
pub(crate) fn check(steps: &Steps) -> Result<usize> {
    let lock = Lock::read(&steps.dirs)?;
    steps.quietly("pins check", |cx| {
        let found = search(cx, &lock.pins, true)?;
        match found.iter().find(|found| found.file.is_none()) {
            Some(found) => Err(error(cx, found.pin, &found.tried)),
            None => Ok(found.len()),
        }
    })
}
