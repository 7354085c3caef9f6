// SPDX-License-Identifier: MIT
//! A disk that UEFI boots, as a guest's: firmware, boot loader and kernel on one
//! console, which is the PL011.

use std::time::Duration;

use anyhow::Result;

use crate::command;
use crate::console::{Console, Line};
use crate::guest::{self, Config};
use crate::report::Report;
use crate::uefi::{self, Description};

/// For a new domain and for `vconsole attach`, on a busy machine.
const SHORT: Duration = Duration::from_secs(180);

/// The emulated machine's disk, and the device by which xen-blkback serves it.
const DISK: &str = "/dev/vda";
const LOOP: &str = "/dev/loop0";

/// A guest that has a device tree and ACPI: first the kernel takes the tree, and after
/// a restart from inside ACPI.
pub(crate) fn uefi(report: &mut Report) -> Result<()> {
    command::run("losetup", &[LOOP, DISK], SHORT)?.ok()?;
    let disk = format!("disk = [ \"phy:{LOOP},xvda,w\" ]");
    let config = Config::efi("uefi").pl011().with("acpi = 1").with(&disk);
    let guest = config.create()?;
    let mut console = attach()?;
    up(report, &mut console, Description::Tree)?;
    let restarted = uefi::restart(&mut console);
    report.must("it restarts from inside", restarted)?;
    let again = command::poll(SHORT, || {
        guest::domid(&guest.name).is_ok_and(|id| id != guest.domid)
    });
    report.check(
        "it is a new domain",
        again,
        format_args!("{:?}", guest::domid(&guest.name)),
    );
    let mut console = attach()?;
    up(report, &mut console, Description::Acpi)?;
    config.created()?.destroy()
}

/// Attaches to the console as soon as it is served.
fn attach() -> Result<Console> {
    Line::Vuart.pty(guest::domid("uefi")?)?;
    let mut console = Console::spawn("vconsole", &["attach", "uefi/vuart0"])?;
    Console::expect(&mut console, "^T ? helps]", SHORT)?;
    Ok(console)
}

/// From power-on to a shell, with a kernel that has found its console.
fn up(report: &mut Report, console: &mut Console, by: Description) -> Result<()> {
    for (id, result) in uefi::up(console, by) {
        report.must(&id, result)?;
    }
    Ok(())
}
