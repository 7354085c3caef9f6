// SPDX-License-Identifier: MIT
//! The scenarios `install-stack` and `install-bookworm`: the packages that `cargo xtask
//! package --stack` has made are installed as on the page docs/start/debian.md while a
//! guest prints, and the machine starts again with the hypervisor that they put into
//! /boot. A guest then has a PL011. In the first scenario it prints while newer packages
//! replace these; in the second ours are removed and Debian's come back.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use e2e::complaints::Complaints;
use e2e::report::Outcome;
use steps::Steps;

use super::common::{copied, told};
use super::host::Host;
use super::packages::{STORES, one_store, versions};
use super::stages::{
    PV, PV_LOG, VUART, VUART_LOG, add_repository, begin_counting, end_counting, guest, mount_media,
    move_repository, removed, serves, stock, write_file, write_sources,
};
use super::{debian, media};
use crate::image::{Disk, Dom0, System};
use crate::run::outside::Checks;

pub(super) const NAME: &str = "install-stack";
pub(super) const BOOKWORM: &str = "install-bookworm";

/// When the machine is on, in the names of its logs: first with Debian's hypervisor, with
/// ours, and with Debian's again.
const FIRST: &str = "-debian";
const OURS: &str = "";
const AGAIN: &str = "-again";

/// apt's preference for our packages.
const PREFERENCE: &[&str] = &["Package: *", "Pin: release o=vpl011", "Pin-Priority: 1001"];

/// The daemon comes first: the scripts of Xen's packages stop xenconsoled before most of
/// them are unpacked and start it at the end, and leave ours running.
const DAEMON: &str = "apt-get -q install -y vconsoled";

/// Debian's packages may be newer, and are then replaced by a lower version.
const XEN: &str = "apt-get -q install -y --allow-downgrades xen-system-arm64 xen-utils-common";

/// The scenario with Debian 13.
pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let scene = Scene::make(steps, NAME, System::Plain)?;
    Ok(told(NAME, |checks, console| {
        let mut host = scene.replaced(checks, console)?;
        upgraded(&mut host, checks)?;
        scene.end(console, OURS)
    }))
}

/// The scenario with Debian 12.
pub(super) fn bookworm(steps: &Steps) -> Result<Outcome> {
    let scene = Scene::make(steps, BOOKWORM, System::Bookworm)?;
    Ok(told(BOOKWORM, |checks, console| {
        let mut host = scene.replaced(checks, console)?;
        removed(&mut host, checks)?;
        host.run("xl destroy guest")?;
        mount_media(&mut host)?;
        debian::back(&mut host, checks, scene.system)?;
        host.restart()?;
        scene.end(console, OURS)?;

        let mut host = scene.boot(&scene.disk.hypervisor, AGAIN)?;
        debian::runs(&mut host, checks, "in the end")?;
        scene.end(console, AGAIN)
    }))
}

/// A system and its disks.
struct Scene<'a> {
    steps: &'a Steps,
    name: &'static str,
    system: System,
    disk: Disk,
    dom0: Dom0,
}

impl<'a> Scene<'a> {
    fn make(steps: &'a Steps, name: &'static str, system: System) -> Result<Self> {
        let disk = Disk::make(steps, system)?;
        let media = media::of_stack(steps, system)?;
        let dom0 = copied(steps, &disk, Some(media))?;
        Ok(Self {
            steps,
            name,
            system,
            disk,
            dom0,
        })
    }

    /// The log of the machine's console while it is on for the first time, or again.
    fn log(&self, time: &str) -> String {
        format!("machine-{}{time}", self.name)
    }

    /// Switches the machine on, with a hypervisor.
    fn boot(&self, hypervisor: &Path, time: &str) -> Result<Host> {
        Host::boot(self.steps, hypervisor, &self.dom0, &self.log(time))
    }

    /// Looks for complaints on the machine's console.
    fn end(&self, console: &mut Complaints, time: &str) -> Result<()> {
        console.take(&fs::read(self.steps.dirs.log(&self.log(time)))?);
        Ok(())
    }

    /// Our packages replace Debian's, and the machine starts again with our hypervisor.
    fn replaced(&self, checks: &mut Checks, console: &mut Complaints) -> Result<Host> {
        let mut host = self.boot(&self.disk.hypervisor, FIRST)?;
        stock(&mut host, checks)?;
        daemon(&mut host, checks)?;
        let when = "while our daemon took over";
        end_counting(&mut host, checks, PV, when, PV_LOG)?;
        begin_counting(&mut host, PV)?;
        xen(&mut host, checks)?;
        let when = "while our packages replaced Debian's";
        end_counting(&mut host, checks, PV, when, PV_LOG)?;
        host.run("xl destroy guest")?;
        host.restart()?;
        self.end(console, FIRST)?;

        let path = format!("/{}", self.system.release().hypervisor());
        let hypervisor = copy_out(self.steps, &self.dom0.disks[0], &path)?;
        let mut host = self.boot(&hypervisor, OURS)?;
        started(&mut host, checks)?;
        Ok(host)
    }
}

/// Copies a file out of the disk of a machine that is off. Returns the copy.
fn copy_out(steps: &Steps, disk: &Path, file: &str) -> Result<PathBuf> {
    let copy = steps.dirs.target.join("install/xen");
    steps.always("installed hypervisor", |cx| {
        fs::write(&copy, "")?;
        let mut dump = Command::new("debugfs");
        dump.arg("-R")
            .arg(format!("dump {file} {}", copy.display()));
        cx.run(dump.arg(disk))?;
        Ok(format!("{} bytes", fs::metadata(&copy)?.len()))
    })?;
    Ok(copy)
}

/// Our packages, in place of Debian's.
pub(super) fn installed(host: &mut Host, checks: &mut Checks) -> Result<()> {
    daemon(host, checks)?;
    xen(host, checks)
}

/// Our daemon, in place of Debian's.
fn daemon(host: &mut Host, checks: &mut Checks) -> Result<()> {
    write_file(host, debian::PREFERENCES, PREFERENCE)?;
    write_sources(host, debian::SOURCES, "/debian")?;
    add_repository(host, "/ours")?;
    host.run(DAEMON)?;
    serves(host, checks, "with our daemon's package", "vconsoled")
}

/// Our packages of Xen, in place of Debian's.
fn xen(host: &mut Host, checks: &mut Checks) -> Result<()> {
    host.run(XEN)?;
    let audit = host.run("dpkg --audit")?;
    checks.check("every package is configured", audit.is_empty(), audit);
    versions(host, checks, "all packages of Xen are ours", |version| {
        version.contains("+vpl011.")
    })?;
    one_store(host, checks, "oxenstored")?;
    serves(host, checks, "with our packages", "vconsoled")
}

/// Newer packages, in place of ours, while the guest prints on its PL011. The store and
/// the hypervisor go on.
fn upgraded(host: &mut Host, checks: &mut Checks) -> Result<()> {
    mount_media(host)?;
    begin_counting(host, VUART)?;
    let before = host.run(STORES)?;
    move_repository(host, "/ours", "/newer")?;
    host.run("apt-get -q upgrade -y")?;
    versions(host, checks, "all packages of Xen are newer", |version| {
        version.ends_with("+newer")
    })?;
    let after = host.run(STORES)?;
    checks.check("the store is the same process", before == after, after);
    serves(host, checks, "after the upgrade", "vconsoled")?;
    let domains = host.run("xl list")?;
    checks.check("xl lists the guest", domains.contains("guest "), domains);
    end_counting(host, checks, VUART, "during the upgrade", VUART_LOG)
}

/// Our hypervisor, and a guest with the device.
pub(super) fn started(host: &mut Host, checks: &mut Checks) -> Result<()> {
    let version = host.run("xl dmesg | grep 'Xen version'")?;
    checks.check("ours is running", version.contains("+vpl011."), version);
    one_store(host, checks, "xenstored")?;
    serves(host, checks, "after the restart", "vconsoled")?;
    let lines = ["extra=\"console=hvc0 console=ttyAMA0\"", "pl011=\"y\""];
    guest(host, &lines)?;
    for (number, open) in ["vconsole attach guest/vuart0", VUART]
        .into_iter()
        .enumerate()
    {
        let line = format!("echo $(tty)-{number}");
        let shown = host.in_guest(open, &[&line], &format!("/dev/ttyAMA0-{number}"));
        checks.ok(&format!("`{open}` gives a shell"), shown)?;
    }
    Ok(())
}
