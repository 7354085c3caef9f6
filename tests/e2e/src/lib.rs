// SPDX-License-Identifier: MIT
//! The end-to-end scenarios of the project, each from the user's side.
//!
//! One static binary does all of it. In dom0, `e2e run NAME…` runs `xl` and the
//! consoles as a user would, and prints its results as JSON lines on dom0's own
//! console, where `cargo xtask e2e` reads them ([`report`]). Inside a Linux guest
//! the same binary is the probe ([`probe`]) that requests from the hypervisor what
//! a guest must not have. The build host uses only [`scenarios`], for the machine
//! of each one.
//!
//! # Contents of the images
//!
//! Every dom0: `/usr/bin/e2e`, our `xl`, `/guest/Image`,
//! `/guest/guest.cpio.gz`. The one that systemd runs: `/guest/vconsoled.deb`,
//! which is not installed, and socat. The one for pages in a browser: the plain one,
//! `/usr/sbin/vconsole-web` and its user. The one for Debian's installer: the plain one,
//! `/guest/installer-linux` and `/guest/installer-initrd.gz`. The one for UEFI: the
//! plain one and the package vpl011-efi. The one for a disk that UEFI boots: that one,
//! with the disk at `/dev/vda`. The one for a debugger: the plain one, gdb,
//! `/guest/kgdb/Image` and, with its symbols, `/guest/kgdb/vmlinux`.
//!
//! The plain one, with either hypervisor: `/usr/bin/e2e`, our `xl`, `vconsoled
//! --log=guest` running, `/guest/Image`, `/guest/guest.cpio.gz`,
//! `/guest/monitor.bin` and `/guest/no-uart.bin` (bare-metal guests:
//! `make -C tests/guests`), `/guest/u-boot.bin` and the images of `tests/firmware`.
//!
//! The Linux guest: a shell on ttyAMA0 and on hvc0, or, with
//! `logins=ttyAMA0` on its command line, a getty there that asks root for
//! [`ROOT_PASSWORD`]; `stty`, `sha256sum`, `reboot` and the like of busybox;
//! `/usr/bin/e2e`; and the modules named in [`GUEST_MODULES`], loaded. A 32-bit guest has
//! a script for `/usr/bin/e2e`, with [`pattern`]s and the probe of the loopback.

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
pub mod pattern;
pub mod probe;
mod recipe;
pub mod report;
pub mod runner;
mod scenarios;
mod shell;
mod spare;
pub mod suite;
pub mod uefi;
mod websocket;

use std::time::Duration;

use serde::Serialize;

use report::Report;

/// Kernel modules that the guest's init loads for the probe's hypercalls and event
/// channels.
pub const GUEST_MODULES: &[&str] = &["xen-privcmd", "xen-evtchn", "xenfs"];

/// Root's password in a Linux guest with a login.
pub const ROOT_PASSWORD: &str = "primecell";

/// A scenario: its name, its purpose, and its machine.
#[derive(Debug, Serialize)]
pub struct Scenario {
    /// The name on the command line; unique.
    pub name: &'static str,
    /// Its purpose, on one line.
    pub about: &'static str,
    /// The machine on which dom0 must be booted.
    pub needs: Machine,
    /// Longest run in seconds, after which it counts as failed; the long form of a
    /// soak has eight times as much.
    pub limit: u64,
    #[serde(skip)]
    run: fn(&mut Report) -> anyhow::Result<()>,
}

/// Effects of a scenario that are intended.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// It ends the daemon and leaves another one.
    pub replaces_daemon: bool,
    /// Parts of complaints that it causes on consoles.
    pub complaints: &'static [&'static str],
}

/// The factor of the time limit for a long form: see [`Scenario::limit`].
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
    /// The hypervisor that is booted.
    pub hypervisor: Hypervisor,
    /// The system of dom0.
    pub dom0: Dom0,
}

/// The system that dom0 is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dom0 {
    /// A shell script and the programs that it starts: boots at once.
    Plain,
    /// A small Debian with systemd, in which dpkg installs packages.
    Systemd,
    /// The plain one with vconsole-web.
    Web,
    /// The plain one with Debian's installer, for a guest.
    Installer,
    /// The plain one with the package vpl011-efi, a guest's firmware.
    Efi,
    /// That one with a guest's disk, which UEFI boots.
    Cloud,
    /// The plain one with gdb and a kernel to debug.
    Gdb,
}

/// The hypervisor of a scenario.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hypervisor {
    /// Xen with this project's PL011 and hooks.
    Ours,
    /// The same with Xen's assertions and lock checks.
    Debug,
    /// The same with the newer implementation of the vGIC.
    NewVgic,
    /// The same as ours, with Xen's own handling of all accesses.
    NoFastTrap,
    /// With the hooks, and both of their options off.
    Off,
    /// Xen as its own source builds it.
    Stock,
}

impl Machine {
    /// The machine of nearly every scenario.
    pub const DEFAULT: Self = Self {
        gic: 3,
        cpus: 2,
        hypervisor: Hypervisor::Ours,
        dom0: Dom0::Plain,
    };
}

/// Every scenario, in the order of a run.
#[must_use]
pub fn scenarios() -> &'static [Scenario] {
    scenarios::ALL
}

/// The scenarios of a whole run. The others run only by name.
pub fn whole_run() -> impl Iterator<Item = &'static Scenario> {
    let is_part = |scenario: &&Scenario| !scenarios::BY_NAME_ALONE.contains(&scenario.name);
    scenarios().iter().filter(is_part)
}

/// The scenarios that have a long form, for a soak.
pub fn soaks() -> impl Iterator<Item = &'static Scenario> {
    let long = |scenario: &&Scenario| scenarios::LONG.contains(&scenario.name);
    scenarios().iter().filter(long)
}

/// Effects of a scenario that would be failures of any other.
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

/// Every measurement, in the order of a whole run.
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
            assert!(seen.insert(scenario.name), "{} occurs twice", scenario.name);
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
    fn the_lists_of_scenarios_name_existing_ones() {
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
