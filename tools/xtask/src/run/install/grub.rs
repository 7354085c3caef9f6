// SPDX-License-Identifier: MIT
//! The scenario `install-grub`: the boot path of a server. Firmware starts GRUB from the
//! disk's EFI system partition, and GRUB the entry that Debian's update-grub has made for
//! Xen. Our packages come by apt, the machine restarts into their hypervisor, and goes
//! back to Debian's as on the page docs/start/debian.md.

use std::fs;

use anyhow::Result;
use e2e::report::Outcome;
use steps::Steps;

use super::common::{copy, told};
use super::host::Host;
use super::stack::{installed, started};
use super::stages::{mount_media, serves};
use super::{debian, media};
use crate::image::{Disk, System, Uefi};
use crate::run::outside::Checks;

pub(super) const NAME: &str = "install-grub";

pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let disk = Disk::make(steps, System::Grub)?;
    let media = media::of_stack(steps, System::Grub)?;
    let uefi = Uefi::fetch(steps)?;
    let disks = [copy(steps, &disk)?, media];
    Ok(told(NAME, |checks, console| {
        let log = format!("machine-{NAME}");
        let mut host = Host::boot_by(steps, &uefi, &disk.hypervisor, &disks, &log)?;
        from_disk(&mut host, checks)?;
        debian::runs(&mut host, checks, "at first")?;
        installed(&mut host, checks)?;
        host.reboot()?;
        started(&mut host, checks)?;
        host.run("xl destroy guest")?;
        host.run("dpkg --purge vconsoled")?;
        serves(
            &mut host,
            checks,
            "without our daemon's package",
            "xenconsoled",
        )?;
        mount_media(&mut host)?;
        debian::back(&mut host, checks, System::Grub)?;
        host.reboot()?;
        debian::runs(&mut host, checks, "in the end")?;
        console.take(&fs::read(steps.dirs.log(&log))?);
        Ok(())
    }))
}

/// dom0's root is the disk's second partition, and GRUB named it by its UUID.
fn from_disk(host: &mut Host, checks: &mut Checks) -> Result<()> {
    let root = host.run("findmnt -no SOURCE /")?;
    checks.check("dom0's root is a partition", root == "/dev/vda2", root);
    let line = host.run("cat /proc/cmdline")?;
    let named = line.contains("root=UUID=") && line.contains("console=hvc0");
    checks.check("its kernel's command line is GRUB's", named, line);
    Ok(())
}
