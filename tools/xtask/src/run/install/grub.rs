// SPDX-License-Identifier: MIT
//! The scenario `install-grub`: the boot path of a server. Firmware starts GRUB from the
//! disk's EFI system partition, and GRUB the entry that Debian's update-grub has made for
//! Xen. Our packages come by apt, the machine restarts into their hypervisor, and goes
//! back to Debian's as on the page docs/start/debian.md.

use std::fs;

use anyhow::{Error, Result};
use e2e::report::Outcome;
use steps::Steps;

use super::common::{copy, told};
use super::host::Host;
use super::media;
use super::stack::{PREFERENCES, installed, one_store, started, versions};
use super::stages::{PV, SOURCES, VUART, guest, mount_media, serves, write_sources};
use crate::image::{Disk, System, Uefi};
use crate::package::stack;
use crate::run::outside::Checks;

pub(super) const NAME: &str = "install-grub";

/// The second disk also has Debian's packages, for the way back.
const STOCK: &str = "/etc/apt/sources.list.d/debian.sources";

/// Debian's version of each package that has ours, as on the page.
const BACK: &str = "apt-get -q install -y --allow-downgrades \
    $(dpkg-query -W -f '${Version} ${Package}/trixie\\n' | sed -n 's/.*+vpl011[^ ]* //p')";

pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let release = stack::release("trixie").map_err(Error::msg)?;
    let disk = Disk::make(steps, System::Grub)?;
    let media = media::of_stack(steps, release)?;
    let uefi = Uefi::fetch(steps)?;
    let disks = [copy(steps, &disk)?, media];
    Ok(told(NAME, |checks, console| {
        let log = format!("machine-{NAME}");
        let mut host = Host::boot_by(steps, &uefi, &disk.hypervisor, &disks, &log)?;
        from_disk(&mut host, checks)?;
        stock(&mut host, checks, "at first")?;
        write_sources(&mut host, STOCK, "/debian")?;
        installed(&mut host, checks)?;
        host.reboot()?;
        started(&mut host, checks)?;
        back(&mut host, checks)?;
        host.reboot()?;
        stock(&mut host, checks, "in the end")?;
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

/// Debian's hypervisor, store and daemon, and a guest with both stock consoles.
fn stock(host: &mut Host, checks: &mut Checks, when: &str) -> Result<()> {
    let version = host.run("xl dmesg | grep 'Xen version'")?;
    let is_stock = version.contains("Debian") && !version.contains("vpl011");
    checks.check(&format!("{when}, Debian's Xen runs"), is_stock, version);
    one_store(host, checks, "oxenstored")?;
    serves(host, checks, when, "xenconsoled")?;
    let lines = [
        "extra=\"console=hvc0 console=ttyAMA0\"",
        "vuart=\"sbsa_uart\"",
    ];
    guest(host, &lines)?;
    for (open, tty) in [(PV, "hvc0"), (VUART, "ttyAMA0")] {
        let line = format!("echo {when} $(tty)");
        let shown = host.in_guest(open, &[&line], &format!("{when} /dev/{tty}"));
        checks.ok(&format!("{when}, `{open}` gives a shell"), shown)?;
    }
    host.run("xl destroy guest").map(drop)
}

/// Debian's packages again, in place of ours.
fn back(host: &mut Host, checks: &mut Checks) -> Result<()> {
    host.run("xl destroy guest")?;
    host.run("dpkg --purge vconsoled")?;
    serves(host, checks, "without our daemon's package", "xenconsoled")?;
    mount_media(host)?;
    host.run(&format!("rm {SOURCES} {PREFERENCES}"))?;
    host.run("apt-get -q update")?;
    host.run(BACK)?;
    let audit = host.run("dpkg --audit")?;
    checks.check("again every package is configured", audit.is_empty(), audit);
    versions(host, checks, "no package of Xen is ours", |version| {
        !version.contains("vpl011")
    })
}
