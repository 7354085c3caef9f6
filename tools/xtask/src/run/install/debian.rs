// SPDX-License-Identifier: MIT
//! Debian's own Xen, and the way back to it, as on the page docs/start/debian.md.

use anyhow::Result;

use super::host::Host;
use super::packages::{one_store, versions};
use super::stages::{self, PV, VUART, guest, serves};
use crate::image::System;
use crate::run::outside::Checks;

/// apt's file for Debian's packages of Xen, which the second disk has too.
pub(super) const SOURCES: &str = "/etc/apt/sources.list.d/debian.sources";

/// apt's preference for our packages.
pub(super) const PREFERENCES: &str = "/etc/apt/preferences.d/vpl011";

/// Debian's hypervisor, store and daemon, and a guest with both stock consoles.
pub(super) fn runs(host: &mut Host, checks: &mut Checks, when: &str) -> Result<()> {
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

/// Debian's packages of Xen again, in place of ours.
pub(super) fn back(host: &mut Host, checks: &mut Checks, system: System) -> Result<()> {
    host.run(&format!("rm {} {PREFERENCES}", stages::SOURCES))?;
    host.run("apt-get -q update")?;
    // Debian's version of each package that has ours.
    host.run(&format!(
        "apt-get -q install -y --allow-downgrades \
         $(dpkg-query -W -f '${{Version}} ${{Package}}/{}\\n' | sed -n 's/.*+vpl011[^ ]* //p')",
        system.release().name
    ))?;
    let audit = host.run("dpkg --audit")?;
    checks.check("again every package is configured", audit.is_empty(), audit);
    versions(host, checks, "no package of Xen is ours", |version| {
        !version.contains("vpl011")
    })
}
