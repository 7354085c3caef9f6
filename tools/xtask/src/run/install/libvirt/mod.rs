// SPDX-License-Identifier: MIT
//! The scenario `libvirt`: Debian's own libvirt, in a Debian 13 with our packages of Xen,
//! starts the guest of the page docs/use/integrations/libvirt.md.

mod pl011;

pub(crate) use self::pl011::run as with_driver;

use std::fs;

use anyhow::{Context, Result};
use e2e::report::Outcome;
use steps::Steps;

use crate::image::{Disk, System};
use crate::run::install::common::{copied, told};
use crate::run::install::host::Host;
use crate::run::install::packages::versions;
use crate::run::install::stages::{serves, write_file};
use crate::run::outside::Checks;

pub(super) const NAME: &str = "libvirt";

/// The page with the guest.
const PAGE: &str = include_str!("../../../../../../docs/use/integrations/libvirt.md");

/// The guest's file.
const GUEST: &str = "/root/guest.xml";

/// The channel's socket, as on the page.
const SOCKET: &str = "/run/vconsoled/channels/agent.sock";

/// The command for the console, as on the page.
const CONSOLE: &str = "virsh console guest";

/// In the guest: what serves the channel, and answers each line.
const AGENT: &[&str] = &[
    "exec 3<>/dev/hvc1; stty raw -echo <&3",
    "(while read -r line <&3; do echo \"agent has $line\" >&3; done) &",
    "echo agent-$((6*7))",
];
const AGENT_RUNS: &str = "agent-42";

/// A client of the channel: sends a line, and prints the answer.
const CLIENT: &str = "use IO::Socket::UNIX; $s = IO::Socket::UNIX->new(shift) or die $!; \
                      $s->print(\"a line\\n\"); $s->flush; print $s->getline";

/// Files of libvirt's packages that are not as Debian made them.
const CHANGED: &str =
    "dpkg --verify libvirt0 libvirt-daemon libvirt-daemon-driver-xen libvirt-clients";

pub(super) fn run(steps: &Steps) -> Result<Outcome> {
    let disk = Disk::make(steps, System::Ours)?;
    let dom0 = copied(steps, &disk, None)?;
    Ok(told(NAME, |checks, console| {
        let log = format!("machine-{NAME}");
        let mut host = Host::boot(steps, &disk.hypervisor, &dom0, &log)?;
        installed(&mut host, checks)?;
        created(&mut host, checks)?;
        rebooted(&mut host, checks)?;
        destroyed(&mut host, checks)?;
        console.take(&fs::read(steps.dirs.log(&log))?);
        Ok(())
    }))
}

/// The page's guest.
fn domain() -> Result<&'static str> {
    let (_, xml) = PAGE.split_once("```xml\n").context("the page has no XML")?;
    let (xml, _) = xml.split_once("```").context("the page's XML has no end")?;
    Ok(xml)
}

/// Our packages of Xen, our daemon, and Debian's libvirt.
fn installed(host: &mut Host, checks: &mut Checks) -> Result<()> {
    versions(host, checks, "all packages of Xen are ours", |version| {
        version.contains("+vpl011.")
    })?;
    host.run("dpkg --install /guest/vconsoled.deb")?;
    serves(host, checks, "beside libvirt", "vconsoled")?;
    let changed = host.run(CHANGED)?;
    checks.check("libvirt is Debian's", changed.is_empty(), changed);
    println!(
        "    {}",
        host.run("dpkg-query -W libvirt-daemon-driver-xen")?
    );
    let uri = host.run("virsh uri")?;
    checks.check("virsh connects to Xen", uri == "xen:///system", uri);
    Ok(())
}

/// The guest, its console and its channel.
fn created(host: &mut Host, checks: &mut Checks) -> Result<()> {
    let lines: Vec<&str> = domain()?.lines().collect();
    write_file(host, GUEST, &lines)?;
    host.run(&format!("virsh create {GUEST}"))?;
    usable(host, checks, "after `virsh create`")?;
    let (_, models) = host.attempt("pgrep -l qemu")?;
    // Messages of Xen may be among it.
    let none = !models.contains("qemu");
    checks.check("no device model runs", none, models);
    Ok(())
}

/// `virsh reboot`, by which libvirt makes the domain anew.
fn rebooted(host: &mut Host, checks: &mut Checks) -> Result<()> {
    remade(host)?;
    usable(host, checks, "after `virsh reboot`")
}

/// Restarts the guest, and waits for its new domain.
fn remade(host: &mut Host) -> Result<()> {
    let old: u32 = host.run("virsh domid guest")?.parse()?;
    let new = old + 1;
    host.run(&format!(
        "virsh reboot guest && \
         timeout 800 sh -c 'until virsh domid guest | grep -qx {new}; do sleep 1; done'"
    ))?;
    Ok(())
}

fn destroyed(host: &mut Host, checks: &mut Checks) -> Result<()> {
    host.run("virsh destroy guest")?;
    let domains = host.run("virsh list --all --name; xl list")?;
    let gone = !domains.contains("guest");
    checks.check("after `virsh destroy` the guest is gone", gone, domains);
    let gone = host.run(&format!(
        "timeout 300 sh -c 'while [ -e {SOCKET} ]; do sleep 0.1; done'"
    ));
    checks.ok("and so is the channel's socket", gone)?;
    let failed =
        host.run("systemctl list-units --failed --no-legend 'libvirt*' 'virt*' vconsoled.service")?;
    checks.check("no service has failed", failed.is_empty(), failed);
    Ok(())
}

/// A shell on the console, and an answer through the channel. The shell is first: until
/// the guest has started, Xen's messages may be among what is typed.
fn usable(host: &mut Host, checks: &mut Checks, when: &str) -> Result<()> {
    let shown = host.in_guest(CONSOLE, AGENT, AGENT_RUNS);
    checks.ok(&format!("{when} `{CONSOLE}` gives a shell"), shown)?;
    let tty = host.run("virsh ttyconsole guest")?;
    let is_pty = tty.contains("/dev/pts/");
    checks.check(
        &format!("{when} libvirt knows the console's pty"),
        is_pty,
        tty,
    );
    let answer = host.run(&format!("timeout 300 perl -e '{CLIENT}' {SOCKET}"))?;
    let right = answer.contains("agent has a line");
    let id = format!("{when} the guest's agent answers through the channel");
    checks.check(&id, right, answer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_the_scenario_uses() {
        let domain = domain().unwrap();
        assert!(domain.starts_with("<domain type=\"xen\">\n"), "{domain}");
        for part in [SOCKET, "<name>guest</name>", "<console type=\"pty\"/>"] {
            assert!(domain.contains(part), "{part}");
        }
        assert!(!domain.contains('\''), "a shell's quote");
        assert!(PAGE.contains(CONSOLE));
    }
}
