// SPDX-License-Identifier: MIT
//! What the administrator does, in order, and what is looked at.

use anyhow::Result;

use super::host::Host;
use crate::run::outside::Checks;

/// The guest prints numbered lines, with its clock, until it is told to end.
const COUNTS: &[&str] = &[
    "touch /tmp/on; i=0",
    "c() { i=$((i+1)); read t r </proc/uptime; echo count $i $t; }",
    "(while [ -e /tmp/on ]; do c; usleep 20000; done; echo all counted) &",
];
const END: &[&str] = &["rm /tmp/on"];
const COUNTED: &str = "all counted";

/// The commands that open the guest's consoles.
pub(super) const PV: &str = "xl console guest";
pub(super) const VUART: &str = "xl console -t vuart guest";

/// Reads the last such count in a log: how many lines it has, how many of them have a
/// wrong number, and the longest time between two in seconds.
const AWK: &str = "/count [0-9]/ {sub(/.*count/, \"count\"); \
    if ($2 == 1) n = wrong = most = 0; n++; if ($2 != n) wrong++; \
    if (n > 1 && $3 - t > most) most = $3 - t; t = $3} \
    END {print n + 0, wrong + 0, most + 0}";

/// The programs of the daemons that run. The supervisor of ours, where there is no
/// systemd, has xenconsoled's name and a shell's program.
const DAEMONS: &str = "readlink /proc/[0-9]*/exe | grep -oE '/(xen|v)consoled.*'";

const LOGS: &str = "/var/log/xen/console";
pub(super) const PV_LOG: &str = "guest-guest.log";
pub(super) const VUART_LOG: &str = "guest-guest-vuart0.log";

/// The repository, as on the page docs/start/debian.md.
pub(super) const SOURCES: &str = "/etc/apt/sources.list.d/vpl011.sources";

/// Mounts the second disk, until the machine goes down.
pub(super) fn mount_media(host: &mut Host) -> Result<()> {
    host.run("mount -o ro /dev/vdb /srv/vpl011").map(drop)
}

/// Mounts the second disk, and lets apt read the repository in a folder of it.
pub(super) fn add_repository(host: &mut Host, folder: &str) -> Result<()> {
    mount_media(host)?;
    write_sources(host, SOURCES, folder)?;
    host.run("apt-get -q update").map(drop)
}

/// Writes apt's file for the repository in a folder of the second disk.
pub(super) fn write_sources(host: &mut Host, path: &str, folder: &str) -> Result<()> {
    let uri = format!("URIs: file:/srv/vpl011{folder}");
    let lines = ["Types: deb", &uri, "Suites: ./", "Trusted: yes"];
    write_file(host, path, &lines)
}

/// Lets apt read another folder's repository instead.
pub(super) fn move_repository(host: &mut Host, from: &str, to: &str) -> Result<()> {
    host.run(&format!("sed -i s,{from},{to}, {SOURCES}"))?;
    host.run("apt-get -q update").map(drop)
}

/// The guest begins to print at a shell on one of its consoles.
pub(super) fn begin_counting(host: &mut Host, open: &str) -> Result<()> {
    host.in_guest(open, COUNTS, "count 50 ")
}

/// It ends, and its log is looked at.
pub(super) fn end_counting(
    host: &mut Host,
    checks: &mut Checks,
    open: &str,
    when: &str,
    log: &str,
) -> Result<()> {
    host.in_guest(open, END, COUNTED)?;
    counted(host, checks, when, log)
}

pub(super) fn write_file(host: &mut Host, path: &str, lines: &[&str]) -> Result<()> {
    let lines: Vec<String> = lines.iter().map(|line| format!("'{line}'")).collect();
    host.run(&format!("printf '%s\\n' {} >{path}", lines.join(" ")))?;
    Ok(())
}

/// Checks that one daemon serves the consoles, and the other one does not run.
pub(super) fn serves(
    host: &mut Host,
    checks: &mut Checks,
    when: &str,
    program: &str,
) -> Result<()> {
    let other = if program == "vconsoled" {
        "xenconsoled"
    } else {
        "vconsoled"
    };
    let (_, running) = host.attempt(DAEMONS)?;
    // Behind a name there may be `.stock`, by a diversion.
    let runs = |name: &str| running.contains(&format!("/{name}"));
    checks.check(
        &format!("{when}, {program} serves alone"),
        runs(program) && !runs(other),
        running,
    );
    Ok(())
}

/// What a log of the guest's has: no number is missing or stands twice, up to the last.
fn counted(host: &mut Host, checks: &mut Checks, when: &str, log: &str) -> Result<()> {
    let found = host.run(&format!("awk '{AWK}' {LOGS}/{log}"))?;
    let mut words = found.split(' ');
    let lines: u32 = words.next().unwrap_or_default().parse().unwrap_or(0);
    let wrong = words.next().unwrap_or_default();
    let pause = words.next().unwrap_or_default();
    checks.check(
        &format!("{when}, every line of the guest's is logged once"),
        lines > 100 && wrong == "0",
        format!("{lines} lines, {wrong} wrong; the longest pause {pause} s"),
    );
    println!("    {when}: {lines} lines, {wrong} wrong, the longest pause {pause} s");
    Ok(())
}

/// Debian's own Xen, with a guest that begins to print.
pub(super) fn stock(host: &mut Host, checks: &mut Checks) -> Result<()> {
    host.run(&format!(
        "mkdir -p {LOGS}; echo XENCONSOLED_ARGS=--log=guest >>/etc/default/xen; \
         service xen restart"
    ))?;
    serves(host, checks, "at first", "xenconsoled")?;
    guest(host, &["extra=\"console=hvc0\""])?;
    // First, because Xen's messages about a guest that boots would stand among what is
    // typed at dom0's shell.
    begin_counting(host, PV)?;
    let domains = host.run("xl list")?;
    checks.check(
        "Debian's xl lists dom0 and the guest",
        domains.contains("Domain-0") && domains.contains("guest "),
        domains,
    );
    Ok(())
}

/// Starts the guest, with lines of its own in its configuration.
pub(super) fn guest(host: &mut Host, lines: &[&str]) -> Result<()> {
    let usual = [
        "name=\"guest\"",
        "kernel=\"/guest/Image\"",
        "ramdisk=\"/guest/guest.cpio.gz\"",
        "memory=192",
    ];
    write_file(host, "/root/guest.cfg", &[&usual, lines].concat())?;
    host.run("xl create guest.cfg").map(drop)
}

/// Our daemon takes the running guest's console over.
pub(super) fn taken_over(host: &mut Host, checks: &mut Checks) -> Result<()> {
    add_repository(host, "/now")?;
    host.run("apt-get -q install -y vconsoled")?;
    serves(host, checks, "with our package", "vconsoled")?;
    end_counting(host, checks, PV, "while our daemon took over", PV_LOG)
}

/// A newer version of the daemon's package, while the guest prints.
pub(super) fn upgraded(host: &mut Host, checks: &mut Checks) -> Result<()> {
    begin_counting(host, PV)?;
    move_repository(host, "/now", "/newer")?;
    host.run("apt-get -q install -y vconsoled")?;
    let version = host.run("dpkg-query -W vconsoled")?;
    checks.check("it is the newer one", version.ends_with("+newer"), version);
    serves(host, checks, "after the upgrade", "vconsoled")?;
    end_counting(host, checks, PV, "during the upgrade", PV_LOG)
}

/// The daemon's package is removed and then purged, with the guest running.
pub(super) fn removed(host: &mut Host, checks: &mut Checks) -> Result<()> {
    host.run("apt-get -q remove -y vconsoled")?;
    serves(host, checks, "after the removal", "xenconsoled")?;
    let shown = host.in_guest(PV, &["echo still-$((6*7))"], "still-42");
    checks.ok("xenconsoled serves the running guest", shown)?;
    host.run("apt-get -q purge -y vconsoled")?;
    serves(host, checks, "after the purge", "xenconsoled")?;
    let shown = host.in_guest(PV, &["echo purged-$((6*7))"], "purged-42");
    checks.ok("and still does after the purge", shown)?;
    Ok(())
}
