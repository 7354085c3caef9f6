// SPDX-License-Identifier: MIT
//! The scenario `uefi-qemu`: the disk of the scenario `uefi`, unchanged, in a machine of
//! QEMU's without Xen, with a device tree and with ACPI. What is looked at is the same.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::report::Outcome;
use e2e::uefi::{self, Description, Typist};
use steps::Steps;

use super::common::told;
use crate::image::{Uefi, cloud, drive};
use crate::rig::machine::Machine;
use crate::run::outside::Terminal;

pub(super) const NAME: &str = "uefi-qemu";

impl Typist for Terminal {
    fn send(&mut self, text: &str) -> Result<()> {
        Self::send(self, text)
    }

    fn expect(&mut self, pattern: &str, limit: Duration) -> Result<String> {
        Self::expect(self, pattern, limit)
    }
}

pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let disk = cloud::copy(steps, "qemu")?;
    let firmware = Uefi::fetch(steps)?;
    Ok(told(NAME, |checks, console| {
        for (name, machine, by) in [
            ("tree", "virt,gic-version=3,acpi=off", Description::Tree),
            ("ACPI", "virt,gic-version=3", Description::Acpi),
        ] {
            let log = steps.dirs.log(&format!("machine-{NAME}-{name}"));
            let mut qemu = qemu(machine, &disk);
            qemu.args(firmware.drives(&disk.with_file_name("vars.fd"))?);
            let machine = Machine::start_without_xen(qemu, &log)?;
            let mut terminal = Terminal::new(machine, log.clone())?;
            for (id, result) in uefi::up(&mut terminal, by) {
                checks.ok(&id, result)?;
            }
            // QEMU ends then.
            checks.ok(
                &format!("{by:?}: it restarts from inside"),
                uefi::restart(&mut terminal),
            )?;
            console.take(&fs::read(&log)?);
        }
        Ok(())
    }))
}

fn qemu(machine: &str, disk: &Path) -> Command {
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "--", "qemu-system-aarch64"]);
    qemu.args(["-machine", machine, "-cpu", "cortex-a57", "-smp", "2"]);
    qemu.args(["-m", "768", "-display", "none", "-nic", "none"]);
    qemu.args(["-no-reboot", "-monitor", "none", "-serial", "stdio"]);
    qemu.args(drive(0, disk));
    qemu
}
