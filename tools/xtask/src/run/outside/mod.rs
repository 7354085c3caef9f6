// SPDX-License-Identifier: MIT
//! Scenarios run from outside the machine: a user at its serial console, which is
//! Xen's. They cannot run in dom0.

mod dom0less;
mod terminal;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use e2e::complaints::Complaints;
use e2e::report::{Check, Outcome};

pub(crate) use self::terminal::Terminal;
use crate::rig::domu::Vpl011;
use crate::rig::evidence::{GOES_ON, StandsStill};
use crate::rig::machine::Machine;

/// One scenario.
pub(crate) struct Outside {
    /// The name on the command line; unique among all scenarios.
    pub(crate) name: &'static str,
    /// Its description, on one line.
    pub(crate) about: &'static str,
    /// The machine that it needs.
    pub(crate) needs: e2e::Machine,
    /// The kernel's command line of the guest that Xen starts.
    pub(crate) bootargs: &'static str,
    /// That guest's UART.
    pub(crate) vpl011: Vpl011,
    play: fn(&mut Terminal, &mut Checks) -> Result<()>,
}

/// A shell on the UART.
const BOOTARGS: &str = "console=ttyAMA0 rdinit=/init";

/// In the order of a whole run.
pub(crate) const ALL: &[Outside] = &[
    Outside {
        name: "dom0less",
        about: "a guest started by Xen has the full PL011 on Xen's console, and the console's input",
        needs: e2e::Machine::DEFAULT,
        bootargs: BOOTARGS,
        vpl011: Vpl011::Pl011,
        play: dom0less::pl011,
    },
    Outside {
        name: "dom0less-sbsa",
        about: "one whose node does not say which has the SBSA UART, as with stock Xen",
        needs: e2e::Machine::DEFAULT,
        bootargs: BOOTARGS,
        vpl011: Vpl011::Sbsa,
        play: dom0less::sbsa,
    },
];

/// The checks so far.
#[derive(Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// Records whether a check passed, and what was seen.
    pub(crate) fn check(&mut self, id: &str, pass: bool, detail: impl Into<String>) {
        self.0.push(Check {
            id: id.to_owned(),
            pass,
            detail: detail.into(),
        });
    }

    /// Records that something must succeed, and returns its value.
    pub(crate) fn ok<T>(&mut self, id: &str, result: Result<T>) -> Result<T> {
        let detail = match &result {
            Ok(_) => "it did".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        self.check(id, result.is_ok(), detail);
        result
    }
}

impl Outside {
    /// Runs it on a machine and its console's log, whatever the result.
    pub(crate) fn run(&self, machine: impl FnOnce() -> Result<(Machine, PathBuf)>) -> Outcome {
        outcome(self.name, |checks, console| {
            let (machine, log) = machine()?;
            let played = Terminal::new(machine, log.clone())
                .and_then(|mut terminal| (self.play)(&mut terminal, checks));
            console.take(&fs::read(log)?);
            played
        })
    }
}

/// The result of a scenario, of its checks and of the complaints on its consoles.
pub(crate) fn outcome(
    name: &str,
    play: impl FnOnce(&mut Checks, &mut Complaints) -> Result<()>,
) -> Outcome {
    let start = Instant::now();
    let mut checks = Checks::default();
    let mut console = Complaints::default();
    if let Err(error) = play(&mut checks, &mut console) {
        let id = if error.is::<StandsStill>() {
            GOES_ON
        } else {
            "runs to its end"
        };
        checks.check(id, false, format!("{error:#}"));
    }
    let seconds = start.elapsed().as_secs_f64();
    let mut outcome = Outcome::new(name, seconds, checks.0, serde_json::Map::new());
    outcome.look_at(&mut console);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_twice() {
        for (at, scenario) in ALL.iter().enumerate() {
            assert!(e2e::scenario(scenario.name).is_none());
            assert!(ALL[..at].iter().all(|other| other.name != scenario.name));
        }
    }
}
