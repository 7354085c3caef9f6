// SPDX-License-Identifier: MIT
//! The scenario `install-stack`: the packages that `cargo xtask package --stack` has
//! made are installed as on the page docs/start/debian.md while a guest prints, and the
//! machine starts again with the hypervisor that they put into /boot. A guest then has a
//! PL011, and prints while newer packages replace these.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Error, Result};
use e2e::report::Outcome;
use steps::Steps;

use super::common::{copied, told};
use super::host::Host;
use super::media;
use super::stages::{
    PV, PV_LOG, VUART, VUART_LOG, add_repository, begin_counting, end_counting, guest, mount_media,
    move_repository, serves, stock, write_file,
};
use crate::image::{Disk, System};
use crate::package::stack;
use crate::run::outside::Checks;

pub(super) const NAME: &str = "install-stack";

/// apt's preference for our packages.
pub(super) const PREFERENCES: &str = "/etc/apt/preferences.d/vpl011";
const PREFERENCE: &[&str] = &["Package: *", "Pin: release o=vpl011", "Pin-Priority: 1001"];

/// The daemon comes first: the scripts of Xen's packages stop xenconsoled before most of
/// them are unpacked and start it at the end, and leave ours running. Debian's packages
/// may be newer, and are then replaced by a lower version.
const INSTALL: [&str; 2] = [
    "apt-get -q install -y vconsoled",
    "apt-get -q install -y --allow-downgrades xen-system-arm64 xen-utils-common",
];

/// Installed packages of Xen, with their versions.
const PACKAGES: &str = "dpkg-query -W -f '${db:Status-Abbrev}${Package} ${Version}\\n' \
                        'xen*' 'libxen*' | grep ^ii";

/// The stores that run, and the one that Debian's init script knows.
const STORES: &str = "pgrep -lx 'oxenstored|xenstored'; cat /run/xenstore.pid";

pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let release = stack::release("trixie").map_err(Error::msg)?;
    let disk = Disk::make(steps, System::Plain)?;
    let media = media::of_stack(steps, release)?;
    let dom0 = copied(steps, &disk, Some(media))?;
    Ok(told(NAME, |checks, console| {
        let log = format!("machine-{NAME}-debian");
        let mut host = Host::boot(steps, &disk.hypervisor, &dom0, &log)?;
        stock(&mut host, checks)?;
        installed(&mut host, checks)?;
        let when = "while our packages replaced Debian's";
        end_counting(&mut host, checks, PV, when, PV_LOG)?;
        host.run("xl destroy guest")?;
        host.restart()?;
        console.take(&fs::read(steps.dirs.log(&log))?);

        let hypervisor = copy_out(steps, &dom0.disks[0], &release.hypervisor())?;
        let log = format!("machine-{NAME}");
        let mut host = Host::boot(steps, &hypervisor, &dom0, &log)?;
        started(&mut host, checks)?;
        upgraded(&mut host, checks)?;
        console.take(&fs::read(steps.dirs.log(&log))?);
        Ok(())
    }))
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
    write_file(host, PREFERENCES, PREFERENCE)?;
    add_repository(host, "/ours")?;
    for install in INSTALL {
        host.run(install)?;
    }
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

/// Checks the version of each installed package of Xen.
pub(super) fn versions(
    host: &mut Host,
    checks: &mut Checks,
    id: &str,
    is_right: fn(&str) -> bool,
) -> Result<()> {
    let packages = host.run(PACKAGES)?;
    let versions: Vec<&str> = packages.split_whitespace().skip(2).step_by(3).collect();
    let right = versions.iter().filter(|version| is_right(version)).count();
    checks.check(id, right > 10 && right == versions.len(), packages);
    Ok(())
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

/// Checks that one store runs, and that the init script's file names it.
pub(super) fn one_store(host: &mut Host, checks: &mut Checks, program: &str) -> Result<()> {
    let stores = host.run(STORES)?;
    let alone = match *stores.split_whitespace().collect::<Vec<_>>() {
        [id, name, known] => id == known && name == program,
        _ => false,
    };
    checks.check(&format!("{program} is the only store"), alone, stores);
    Ok(())
}
