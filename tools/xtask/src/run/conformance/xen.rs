// SPDX-License-Identifier: MIT
//! The suite as a guest of emulated Xen: a scenario of `tests/e2e`.

use anyhow::{Context, Result, bail};
use e2e::suite::Results;

use crate::run::e2e::{Bench, Chosen};

/// Runs the scenario and reads the results from its report.
pub(super) fn run(bench: &Bench, scenario: &str) -> Result<Results> {
    let scenario = e2e::scenario(scenario).context("no such scenario")?;
    let Some(mut outcome) = bench.run(&Chosen::from(scenario))?.pop() else {
        bail!("{} was not run", scenario.name);
    };
    let results = outcome
        .data
        .remove("conformance")
        .with_context(|| format!("{} has no results", scenario.name))?;
    Ok(serde_json::from_value(results)?)
}
