// SPDX-License-Identifier: MIT
//! The agent's scenarios in a Debian 13 on a disk, with our packages of Xen: its kernel,
//! its systemd, its init script for Xen, and xl of the packages.

use anyhow::{Result, bail};
use e2e::Scenario;
use e2e::report::Outcome;
use steps::Steps;

use super::common::copied;
use super::host::{BOOT, START, spec};
use crate::image::{Disk, System};
use crate::rig::follow::{Task, follow};
use crate::rig::machine::{Machine, Spec};

/// Those that need no more than this dom0 has.
const NAMES: [&str; 5] = [
    "boot",
    "both-clients",
    "transfer",
    "least-privilege",
    "systemd",
];

/// Runs those with these names, or all, and prints a line for each.
pub(crate) fn run(steps: &Steps, names: &[String]) -> Result<Vec<Outcome>> {
    let [mut served, mut own] = chosen(names)?;
    let disk = Disk::make(steps, System::Ours)?;
    let mut outcomes = Vec::new();
    for left in [&mut served, &mut own] {
        // A machine that fails ends one scenario, not the rest.
        while !left.is_empty() {
            let done = on(steps, &disk, left)?;
            left.drain(..done.len().min(left.len()));
            outcomes.extend(done);
        }
    }
    Ok(outcomes)
}

/// The scenarios with these names, or all: those in a dom0 that has the daemon, and the
/// one that installs it.
fn chosen(names: &[String]) -> Result<[Vec<&'static str>; 2]> {
    if let Some(name) = names.iter().find(|name| !NAMES.contains(&name.as_str())) {
        bail!(
            "`{name}` does not run in Debian's dom0; there are {}",
            NAMES.join(", ")
        );
    }
    let is_wanted = |scenario: &&Scenario| {
        let of = |name: &String| name == scenario.name;
        NAMES.contains(&scenario.name) && (names.is_empty() || names.iter().any(of))
    };
    let (own, served) = e2e::scenarios()
        .iter()
        .filter(is_wanted)
        .partition::<Vec<_>, _>(|scenario| scenario.needs.dom0 == e2e::Dom0::Systemd);
    Ok([served, own].map(|of| of.iter().map(|scenario| scenario.name).collect()))
}

/// Boots once and runs scenarios until one ends the machine. Returns at least one
/// outcome.
fn on(steps: &Steps, disk: &Disk, names: &[&str]) -> Result<Vec<Outcome>> {
    let task = Task {
        names,
        soak: false,
        boot: BOOT,
    };
    let spec = Spec {
        task: format!("{START} {}", task.words()),
        ..spec(&disk.hypervisor)
    };
    let dom0 = copied(steps, disk, None)?;
    let log = steps.dirs.log(&format!("machine-debian-{}", names[0]));
    let machine = Machine::start(&spec, &dom0, &log)?;
    Ok(follow(machine, &log, "boot Debian 13", &task))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_a_scenarios() {
        let [served, own] = chosen(&[]).unwrap();
        assert_eq!(own, ["systemd"]);
        assert_eq!(served.len() + own.len(), NAMES.len());
    }

    #[test]
    fn a_scenario_that_needs_more_is_refused() {
        let error = chosen(&["u-boot".into()]).unwrap_err().to_string();
        assert!(
            error.contains("`u-boot`") && error.contains("both-clients"),
            "{error}"
        );
        let [served, own] = chosen(&["boot".into()]).unwrap();
        assert_eq!((served, own), (vec!["boot"], Vec::new()));
    }
}
