// SPDX-License-Identifier: MIT
//! The PL011 by libvirt's XML: the dom0 of the scenario `libvirt` gets a driver for Xen
//! that was built with the changes in `hyp-shim/libvirt`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::report::Outcome;
use steps::{Steps, files};

use super::{CONSOLE, GUEST, PAGE, destroyed, domain, installed, remade};
use crate::image::{Disk, System, make_filesystem};
use crate::run::install::common::{copied, told};
use crate::run::install::host::Host;
use crate::run::install::stages::{mount_media, write_file};
use crate::run::outside::Checks;

const NAME: &str = "libvirt-pl011";

/// The disk with the driver, in MiB.
const SIZE: u32 = 16;

/// The driver in libvirt's folder and on the disk.
const DRIVER: &str = "/usr/lib/aarch64-linux-gnu/libvirt/connection-driver/libvirt_driver_libxl.so";
const BUILT: &str = "/srv/vpl011/driver.so";

/// The command for the UART, as on the page.
const SERIAL: &str = "virsh console --devname serial0 guest";

/// What libxl was asked for.
const ASKED: &str = "xl list -l guest | grep '\"vuart\"'";

/// The pty of the UART, as the daemon announced it.
const TTY: &str = "xenstore-read /local/domain/$(virsh domid guest)/vuart/0/tty";

/// Descriptions that are refused: what is changed, and the error.
const REFUSED: [(&str, &str, &str); 2] = [
    (
        "type=\"pty\">",
        "type=\"null\">",
        "serial port model 'pl011' is only supported with type 'pty'",
    ),
    (
        "</serial>",
        "</serial><serial type=\"pty\"/>",
        "a guest with a serial port of model 'pl011' has no other serial port",
    ),
];

/// Runs the guests with the driver in a file.
pub(crate) fn run(steps: &Steps, driver: &Path) -> Result<Outcome> {
    let disk = Disk::make(steps, System::Ours)?;
    let dom0 = copied(steps, &disk, Some(media(steps, driver)?))?;
    Ok(told(NAME, |checks, console| {
        let log = format!("machine-{NAME}");
        let mut host = Host::boot(steps, &disk.hypervisor, &dom0, &log)?;
        installed(&mut host, checks)?;
        ignored(&mut host, checks)?;
        replaced(&mut host, checks)?;
        refused(&mut host, checks)?;
        served(&mut host, checks)?;
        destroyed(&mut host, checks)?;
        without(&mut host, checks)?;
        console.take(&fs::read(steps.dirs.log(&log))?);
        Ok(())
    }))
}

/// Makes a disk with the driver.
fn media(steps: &Steps, driver: &Path) -> Result<PathBuf> {
    let folder = steps.dirs.target.join("install");
    let media = folder.join("media-driver");
    let file = folder.join("driver.img");
    steps.always("install media, driver", |cx| {
        files::empty(&media)?;
        let built = media.join("driver.so");
        let size = fs::copy(driver, built).with_context(|| driver.display().to_string())?;
        make_filesystem(cx, &media, SIZE, &file)?;
        Ok(format!("made, with {size} bytes"))
    })?;
    Ok(file)
}

/// The page's serial port.
fn serial() -> Result<&'static str> {
    let mut parts = PAGE.split("```xml\n").skip(2);
    let (xml, _) = parts
        .next()
        .and_then(|part| part.split_once("```"))
        .context("the page has no serial port")?;
    Ok(xml)
}

/// The page's guest with a serial port.
fn with(serial: &str) -> Result<String> {
    let console = "    <console";
    Ok(domain()?.replacen(console, &format!("{serial}{console}"), 1))
}

fn write_guest(host: &mut Host, xml: &str) -> Result<()> {
    let lines: Vec<&str> = xml.lines().collect();
    write_file(host, GUEST, &lines)
}

/// Debian's driver starts the guest without the serial port.
fn ignored(host: &mut Host, checks: &mut Checks) -> Result<()> {
    write_guest(host, &with(serial()?)?)?;
    host.run(&format!("virsh create {GUEST}"))?;
    let shown = host.in_guest(CONSOLE, &["echo up-$((41))"], "up-41");
    checks.ok("Debian's driver starts the guest", shown)?;
    let (_, asked) = host.attempt(ASKED)?;
    let none = !asked.contains("pl011");
    checks.check("but ignores the serial port", none, asked);
    let (status, said) = host.attempt(&format!("timeout 60 {SERIAL}"))?;
    println!("    without the changes: {said}");
    let fails = status == "1";
    checks.check("and has no console there", fails, said);
    host.run("virsh destroy guest").map(drop)
}

/// The driver takes the place of Debian's.
fn replaced(host: &mut Host, checks: &mut Checks) -> Result<()> {
    mount_media(host)?;
    host.run(&format!("cp {BUILT} {DRIVER}; systemctl restart libvirtd"))?;
    let version = host.run("virsh version --daemon")?;
    println!("    {}", version.replace('\n', "; "));
    let connects = version.contains("Xen");
    checks.check(
        "libvirt connects to Xen with the other driver",
        connects,
        version,
    );
    Ok(())
}

/// Serial ports that a PL011 cannot be.
fn refused(host: &mut Host, checks: &mut Checks) -> Result<()> {
    for (from, to, error) in REFUSED {
        let xml = with(&serial()?.replace(from, to))?;
        write_guest(host, &xml)?;
        // If it is not refused, nothing is typed while it starts.
        let create = format!("virsh create {GUEST} && virsh destroy guest");
        let (status, said) = host.attempt(&create)?;
        let right = status != "0" && said.contains(error);
        checks.check(&format!("refused: {error}"), right, said);
    }
    Ok(())
}

/// The guest with its UART, made and made anew.
fn served(host: &mut Host, checks: &mut Checks) -> Result<()> {
    write_guest(host, &with(serial()?)?)?;
    host.run(&format!("virsh create {GUEST}"))?;
    both(host, checks, "after `virsh create`", 42)?;
    let asked = host.run(ASKED)?;
    let right = asked.contains("\"vuart\": \"pl011\"");
    checks.check("libxl was asked for a PL011", right, asked);
    remade(host)?;
    both(host, checks, "after `virsh reboot`", 43)
}

/// A shell on each console, and the ptys that libvirt knows.
fn both(host: &mut Host, checks: &mut Checks, when: &str, number: u32) -> Result<()> {
    for (open, tty) in [(SERIAL, "/dev/ttyAMA0"), (CONSOLE, "/dev/hvc0")] {
        let typed = format!("echo $(tty)-$(({number}))");
        let shown = host.in_guest(open, &[&typed], &format!("{tty}-{number}"));
        checks.ok(&format!("{when} `{open}` is at {tty}"), shown)?;
    }
    let announced = host.run(TTY)?;
    let known = host.run("virsh dumpxml guest --xpath //serial/source")?;
    let right =
        announced.starts_with("/dev/pts/") && known == format!("<source path=\"{announced}\"/>");
    let id = format!("{when} its XML has the pty of the UART");
    checks.check(&id, right, format!("{announced}, {known}"));
    Ok(())
}

/// A guest without a serial port has a PV console alone.
fn without(host: &mut Host, checks: &mut Checks) -> Result<()> {
    write_guest(host, domain()?)?;
    host.run(&format!("virsh create {GUEST}"))?;
    let shown = host.in_guest(
        CONSOLE,
        &["echo $(tty)-$((44))", "ls /dev/ttyAMA0"],
        "ttyAMA0: No",
    );
    checks.ok("a guest without the serial port has none", shown)?;
    let (_, asked) = host.attempt(ASKED)?;
    let none = !asked.contains("pl011");
    checks.check("and libxl was asked for none", none, asked);
    host.run("virsh destroy guest").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_is_run() {
        let xml = with(serial().unwrap()).unwrap();
        assert!(xml.contains("<model name=\"pl011\"/>"), "{xml}");
        assert!(!xml.contains('\''), "a shell's quote");
        for (from, to, _) in REFUSED {
            assert_ne!(serial().unwrap().replace(from, to), serial().unwrap());
        }
        assert!(PAGE.contains(SERIAL));
    }
}
