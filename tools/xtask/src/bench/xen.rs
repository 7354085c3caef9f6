// SPDX-License-Identifier: MIT
//! Both hypervisors in machines whose clock counts instructions. Each machine is run
//! twice: figures that differ between the runs are invalid.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use steps::{Steps, write};

use super::figures::{FIGURES, Figure, Found};
use super::size;
use crate::debian::host;
use crate::image::{Dom0, Kernels};
use crate::rig::follow::{self, Task, follow};
use crate::rig::machine::{Machine, Spec};
use crate::xen::{self, Flavour};

/// What to measure and where to write it.
#[derive(clap::Args)]
pub(crate) struct Xen {
    /// Measurements; all if none is given
    #[arg(value_name = "MEASUREMENT")]
    names: Vec<String>,
    /// Write every figure to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the table as bar charts (SVG) into a folder
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    /// Take the figures of an earlier run from the file that it wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "json", "once"])]
    from: Option<PathBuf>,
    /// Run each machine once, without checking that figures repeat
    #[arg(long)]
    once: bool,
}

impl Xen {
    /// Measures and prints the table. Returns whether every goal is met.
    pub(crate) fn run(&self, steps: &Steps) -> Result<bool> {
        let (stock, ours) = match &self.from {
            Some(path) => read(path)?,
            None => self.measure(steps)?,
        };
        let figures: Vec<&Figure> = FIGURES
            .iter()
            .filter(|figure| ours.contains_key(figure.key))
            .collect();
        println!();
        print!("{}", super::figures::table(&figures, &stock, &ours));
        if let Some(path) = &self.json {
            let summary = json!({"version": 1, "stock": stock, "ours": ours});
            write(path, format!("{summary:#}\n"))?;
        }
        if let Some(dir) = &self.plot {
            super::plot::draw(dir, &figures, &stock, &ours)?;
        }
        let missed = figures
            .iter()
            .filter(|figure| figure.met(&stock, &ours) == Some(false))
            .count();
        println!("{} figures, {missed} goals missed", figures.len());
        Ok(missed == 0)
    }

    /// The results of stock's machine and of ours.
    fn measure(&self, steps: &Steps) -> Result<(Found, Found)> {
        let names = self.chosen()?;
        host::prepare(steps)?;
        let measure = |flavour| -> Result<Found> {
            let built = xen::build(steps, flavour)?;
            let dom0 = Dom0::make(steps, &built, Kernels::default())?;
            let mut sizes = Found::new();
            size::measure(steps, &built.hypervisor, flavour, &mut sizes)?;
            let spec = Spec::counted(built.hypervisor, task(&names).words());
            let mut first = run(steps, &spec, &dom0, flavour, &names)?;
            if !self.once {
                let again = run(steps, &spec, &dom0, flavour, &names)?;
                same(&first, &again)?;
            }
            first.append(&mut sizes);
            Ok(first)
        };
        Ok((measure(Flavour::Stock)?, measure(Flavour::Ours)?))
    }

    /// The selected measurements.
    fn chosen(&self) -> Result<Vec<&'static str>> {
        let all = || e2e::figures().iter().map(|measurement| measurement.name);
        if let Some(name) = self.names.iter().find(|name| !all().any(|n| n == **name)) {
            let known: Vec<_> = all().collect();
            bail!(
                "there is no measurement `{name}`; there are {}",
                known.join(", ")
            );
        }
        Ok(all()
            .filter(|name| self.names.is_empty() || self.names.iter().any(|n| n == name))
            .collect())
    }
}

fn task<'a>(names: &'a [&'a str]) -> Task<'a> {
    Task {
        names,
        soak: false,
        boot: follow::BOOT,
    }
}

/// The figures that [`Xen::run`] wrote to a file.
pub(super) fn read(path: &Path) -> Result<(Found, Found)> {
    let about = || format!("reading {}", path.display());
    let text = std::fs::read_to_string(path).with_context(about)?;
    let summary: Summary = serde_json::from_str(&text).with_context(about)?;
    Ok((summary.stock, summary.ours))
}

/// The contents of such a file.
#[derive(serde::Deserialize)]
struct Summary {
    stock: Found,
    ours: Found,
}

/// Runs one machine and returns its results, by figure.
fn run(steps: &Steps, spec: &Spec, dom0: &Dom0, flavour: Flavour, names: &[&str]) -> Result<Found> {
    let label = flavour.step("bench");
    let log = steps.dirs.log(&label);
    let outcomes = follow(
        Machine::start(spec, dom0, &log)?,
        &log,
        &label,
        &task(names),
    );
    let mut found = BTreeMap::new();
    for outcome in outcomes {
        ensure!(outcome.pass, "{label}: {} failed", outcome.scenario);
        for (name, value) in outcome.data {
            if let Some(value) = value.as_f64() {
                found.insert(name, value);
            }
        }
    }
    Ok(found)
}

/// Checks that two runs have the same results.
fn same(first: &Found, again: &Found) -> Result<()> {
    for (name, value) in first {
        let other = again.get(name).with_context(|| format!("{name} is gone"))?;
        ensure!(
            value.to_bits() == other.to_bits(),
            "{name} was {value} in one run and {other} in another"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_does_not_repeat_is_an_error() {
        let found = |value| Found::from([("echo".to_owned(), value)]);
        assert!(same(&found(1.5), &found(1.5)).is_ok());
        let error = same(&found(1.5), &found(2.5)).unwrap_err().to_string();
        assert!(error.contains("echo") && error.contains("2.5"), "{error}");
        assert!(same(&found(1.5), &Found::new()).is_err());
    }
}
