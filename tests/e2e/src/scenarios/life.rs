// SPDX-License-Identifier: MIT
//! The life of guests: reboot, destruction, several at once.

use std::time::Duration;

use anyhow::Result;

use crate::command;
use crate::console::{Console, Line};
use crate::daemon;
use crate::guest::{self, Config};
use crate::monitor::Monitor;
use crate::report::Report;
use crate::scenarios::boot::{BOTH_LINES, report_driver};
use crate::shell::{BOOT, SHORT, Shell};

/// Both consoles after the guest has rebooted.
pub(crate) fn reboot(report: &mut Report) -> Result<()> {
    let guest = Config::linux("reboot")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    shell.console.send("reboot -f\r")?;
    let again = command::poll(BOOT, || {
        guest::domid(&guest.name).is_ok_and(|id| id != guest.domid)
    });
    report.check(
        "it is a new domain",
        again,
        format_args!("{:?}", guest::domid(&guest.name)),
    );
    drop(shell);
    for line in Line::BOTH {
        let shell = Shell::open(&guest.name, line);
        let shell = report.check_ok(format_args!("shell on {} again", line.name()), shell);
        if let (Some(mut shell), Line::Vuart) = (shell, line) {
            report_driver(report, &mut shell, "PL011 rev3")?;
        }
    }
    report.check_eq("domains", &guest::domids()?.len(), &1);
    Ok(())
}

/// Destruction in the middle of output, with and without a client.
pub(crate) fn destroy(report: &mut Report) -> Result<()> {
    // The first of each kind allocates what Xen and dom0 keep.
    destroy_flooding(report, "first, watched", true)?;
    destroy_flooding(report, "first, unwatched", false)?;
    destroy_writing(report, "first")?;
    let start = guest::free_memory()?;
    let rounds = report.amount(2, 25);
    for (how, watched) in [("watched", true), ("unwatched", false)] {
        let before = guest::free_memory()?;
        for round in 0..rounds {
            destroy_flooding(report, &format!("round {round}, {how}"), watched)?;
        }
        // Not exactly to the page: dom0's own tables in Xen grow now and then, and
        // remain.
        let lost = before.saturating_sub(guest::free_memory()?);
        report.check(
            format_args!("less than a page for each {how} guest is missing"),
            lost < 4 * rounds,
            format_args!("{lost} KiB after {rounds}"),
        );
    }
    destroy_writing(report, "last")?;
    let lost = start.saturating_sub(guest::free_memory()?);
    report.check(
        "the memory of Linux guests was freed",
        lost < 1024,
        format_args!("{lost} KiB"),
    );
    report.data("guests", 2 * rounds + 4);
    report.data("free memory in KiB", start);
    report.check(
        "no console is left",
        daemon::serves_nobody(),
        format_args!("{:?}", daemon::status()?.consoles),
    );
    Ok(())
}

/// A guest is destroyed while it floods its UART; its client, if there is one, ends
/// too.
fn destroy_flooding(report: &mut Report, which: &str, watched: bool) -> Result<()> {
    let guest = Config::monitor("flood").pl011().create()?;
    let mut monitor = Monitor::open(&guest.name)?;
    monitor.flood()?;
    let kept = watched.then_some(monitor);
    guest.destroy()?;
    check_gone(report, which)?;
    if let Some(mut monitor) = kept {
        report.check(
            format_args!("{which}: the client ends"),
            monitor.console_ends(Duration::from_secs(10)),
            "after its domain",
        );
    }
    Ok(())
}

/// Linux is destroyed while it writes on both its consoles.
fn destroy_writing(report: &mut Report, which: &str) -> Result<()> {
    let guest = Config::linux("writer")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    let mut shell = Shell::open(&guest.name, Line::Pv)?;
    shell.console.send("yes >/dev/ttyAMA0 & yes\r")?;
    shell.console.expect("y\r\ny\r\ny\r\n", SHORT)?;
    guest.destroy()?;
    check_gone(report, &format!("{which}, Linux writing on both"))
}

fn check_gone(report: &mut Report, which: &str) -> Result<()> {
    let gone = guest::all_gone();
    report.check(
        format_args!("{which}: it is gone"),
        gone,
        format_args!("{:?}", guest::domids()?),
    );
    Ok(())
}

/// A guest without the key has one console.
pub(crate) fn pv_only(report: &mut Report) -> Result<()> {
    let guest = Config::linux("plain").bootargs("console=hvc0").create()?;
    let shell = report.check_ok("shell on hvc0", Shell::open(&guest.name, Line::Pv));
    let Some(mut shell) = shell else {
        return Ok(());
    };
    let uart = shell.run(
        "ls /dev/ttyAMA0 /proc/device-tree/serial@22000000 2>/dev/null; true",
        SHORT,
    )?;
    report.check_eq(
        "device and node of a UART in the guest",
        &uart.as_str(),
        &"",
    );
    let served: Vec<String> = daemon::status()?
        .consoles
        .into_iter()
        .map(|console| console.kind)
        .collect();
    report.check_eq("what the daemon serves", &served, &vec!["pv".to_owned()]);
    let mut client = Console::spawn("xl", &["console", "-t", "vuart", &guest.name])?;
    let ended = command::poll(Duration::from_secs(15), || !client.is_open());
    report.check(
        "xl console -t vuart ends",
        ended,
        client.transcript().trim(),
    );
    Ok(())
}

/// Two guests, each with both consoles, at the same time.
pub(crate) fn two_guests(report: &mut Report) -> Result<()> {
    let configs = ["one", "two"].map(|name| Config::linux(name).pl011().bootargs(BOTH_LINES));
    let guests = [configs[0].create()?, configs[1].create()?];
    let mut shells = Vec::new();
    for guest in &guests {
        for line in Line::BOTH {
            shells.push((guest.name.clone(), line, Shell::open(&guest.name, line)?));
        }
    }
    // Every shell is open before the first command.
    for (name, line, shell) in &mut shells {
        shell.run(&format!("echo {name} > /tmp/{}", line.name()), SHORT)?;
    }
    for (name, line, shell) in &mut shells {
        let seen = shell.run("cat /tmp/vuart /tmp/pv; tty", SHORT)?;
        let wanted = format!("{name}\n{name}\n/dev/{}\n", line.tty());
        report.check_eq(format_args!("{name}, {}", line.name()), &seen, &wanted);
    }
    Ok(())
}

/// Two vCPUs of a guest write to the same UART at once.
pub(crate) fn two_vcpus(report: &mut Report) -> Result<()> {
    let guest = Config::linux("smp")
        .with("vcpus = 2")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    report.check_eq("vCPUs", &shell.run("nproc", SHORT)?.trim(), &"2");
    report_driver(report, &mut shell, "PL011 rev3")?;
    let seen = shell.run(
        "(yes aaaaaaaaaaaaaaa | head -n 500) & (yes bbbbbbbbbbbbbbb | head -n 500); wait",
        Duration::from_secs(40),
    )?;
    for letter in ["a", "b"] {
        let count = seen.matches(letter).count();
        report.check_eq(format_args!("letters `{letter}`"), &count, &(500 * 15));
    }
    Ok(())
}
