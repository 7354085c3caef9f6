// SPDX-License-Identifier: MIT
//! The end-to-end scenarios of the project, each from the user's side.
//!
//! One static binary does all of it. In dom0, `e2e run NAME…` drives `xl` and
//! the consoles as a person would, and prints what it saw as JSON lines on
//! dom0's own console, where `cargo xtask e2e` reads them ([`report`]).
//! Inside a Linux guest the same binary is the probe ([`probe`]) that asks
//! the hypervisor for what a guest must not have. On the build host only
//! [`scenarios`] is used, to know which machine each one wants.
//!
//! # What the images hold
//!
//! Every dom0: `/usr/bin/e2e`, our `xl`, `/guest/Image`,
//! `/guest/guest.cpio.gz`. The one that systemd runs: `/guest/vconsoled.deb`,
//! which is not installed, and socat. The one for pages in a browser: the plain one,
//! `/usr/sbin/vconsole-web` and its user.
//!
//! The plain one, with either hypervisor: `/usr/bin/e2e`, our `xl`, `vconsoled
//! --log=guest` running, `/guest/Image`, `/guest/guest.cpio.gz`,
//! `/guest/monitor.bin` and `/guest/no-uart.bin` (bare-metal guests:
//! `make -C tests/guests`), `/guest/u-boot.bin` and the images of `tests/firmware`.
//!
//! The Linux guest: a shell on ttyAMA0 and on hvc0, or, with
//! `logins=ttyAMA0` on its command line, a getty there that asks root for
//! [`ROOT_PASSWORD`]; `stty`, `sha256sum`, `reboot` and the like of busybox;
//! `/usr/bin/e2e`; and the modules named in [`GUEST_MODULES`], loaded.

#![forbid(unsafe_code)]

mod command;
pub mod complaints;
mod console;
mod daemon;
mod errno;
pub mod far_side;
mod figures;
mod guest;
mod keeper;
mod monitor;
mod page;
mod pattern;
pub mod probe;
pub mod report;
pub mod runner;
mod scenarios;
mod shell;
mod spare;
pub mod suite;
mod websocket;

use std::time::Duration;

use serde::Serialize;

use report::Report;

/// Kernel modules that the guest's init loads so that the probe can speak to
/// the hypervisor and find its event channels.
pub const GUEST_MODULES: &[&str] = &["xen-privcmd", "xen-evtchn", "xenfs"];

/// What a Linux guest asks root for, where it asks.
pub const ROOT_PASSWORD: &str = "primecell";

/// One scenario: a name, what it shows, and the machine it wants.
#[derive(Debug, Serialize)]
pub struct Scenario {
    /// The name on the command line; unique.
    pub name: &'static str,
    /// What it shows, on one line.
    pub about: &'static str,
    /// The machine that dom0 must be booted on.
    pub needs: Machine,
    /// Longest run, in seconds, after which it counts as failed; the long form
    /// of a soak has eight times as many.
    pub limit: u64,
    #[serde(skip)]
    run: fn(&mut Report) -> anyhow::Result<()>,
}

/// What a scenario does on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// It ends the daemon and leaves another one.
    pub replaces_daemon: bool,
    /// Parts of what it makes consoles complain of.
    pub complaints: &'static [&'static str],
}

/// How much longer than [`Scenario::limit`] a scenario's long form may take.
const SOAK: u32 = 8;

impl Scenario {
    /// The longest run, after which it counts as failed.
    #[must_use]
    pub fn limit(&self, soak: bool) -> Duration {
        Duration::from_secs(self.limit) * if soak { SOAK } else { 1 }
    }
}

/// The emulated machine of a scenario.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Machine {
    /// Version of the interrupt controller: 2 or 3.
    pub gic: u8,
    /// Number of physical CPUs.
    pub cpus: u8,
    /// Which hypervisor is booted.
    pub hypervisor: Hypervisor,
    /// What dom0 is.
    pub dom0: Dom0,
}

/// The system that dom0 is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dom0 {
    /// A shell script and what it starts: up in an instant.
    Plain,
    /// A small Debian that systemd runs and dpkg installs packages in.
    Systemd,
    /// The plain one with vconsole-web.
    Web,
}

/// The hypervisor a scenario is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hypervisor {
    /// With this project's PL011 and hooks.
    Ours,
    /// The same with Xen's assertions and lock checks on.
    Debug,
    /// The same with the newer of the two implementations of the vGIC.
    NewVgic,
    /// The same as ours, with accesses by Xen's own way alone.
    NoFastTrap,
    /// With the hooks, and both of their options off.
    Off,
    /// As Xen's own source builds it.
    Stock,
}

impl Machine {
    /// What nearly every scenario runs on.
    pub const DEFAULT: Self = Self {
        gic: 3,
        cpus: 2,
        hypervisor: Hypervisor::Ours,
        dom0: Dom0::Plain,
    };
}

/// Every scenario, in the order in which a run takes them.
#[must_use]
pub fn scenarios() -> &'static [Scenario] {
    scenarios::ALL
}

/// The scenarios of a whole run. The others are run by name alone.
pub fn whole_run() -> impl Iterator<Item = &'static Scenario> {
    let is_part = |scenario: &&Scenario| !scenarios::BY_NAME_ALONE.contains(&scenario.name);
    scenarios().iter().filter(is_part)
}

/// The scenarios that have a long form, for a soak.
pub fn soaks() -> impl Iterator<Item = &'static Scenario> {
    let long = |scenario: &&Scenario| scenarios::LONG.contains(&scenario.name);
    scenarios().iter().filter(long)
}

/// What a scenario does on purpose that would be a failure of any other.
#[must_use]
pub fn declared(name: &str) -> Declared {
    let patterns = scenarios::COMPLAIN
        .iter()
        .find(|(scenario, _)| *scenario == name)
        .map_or(&[][..], |(_, patterns)| patterns);
    Declared {
        replaces_daemon: scenarios::REPLACE_DAEMON.contains(&name),
        complaints: patterns,
    }
}

/// Every measurement, in the order in which a whole run takes them.
#[must_use]
pub fn figures() -> &'static [Scenario] {
    figures::ALL
}

/// The scenario or measurement called `name`.
#[must_use]
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    let mut all = scenarios().iter().chain(figures());
    all.find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_for_a_command_line() {
        let mut seen = std::collections::BTreeSet::new();
        for scenario in scenarios().iter().chain(figures()) {
            assert!(seen.insert(scenario.name), "{} stands twice", scenario.name);
            assert!(
                scenario
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{}",
                scenario.name
            );
            assert!(!scenario.about.contains('\n') && scenario.about.len() <= 100);
        }
    }

    #[test]
    fn what_is_said_of_scenarios_names_some() {
        let complain = scenarios::COMPLAIN.iter().map(|(name, _)| name);
        for name in complain
            .chain(scenarios::REPLACE_DAEMON)
            .chain(scenarios::LONG)
        {
            assert!(scenario(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_list_is_json_that_names_the_machine() {
        let json = serde_json::to_value(scenario("demo").unwrap()).unwrap();
        assert_eq!(
            json["needs"],
            serde_json::json!({"gic": 3, "cpus": 2, "hypervisor": "ours", "dom0": "plain"})
        );
    }
}
