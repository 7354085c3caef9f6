// SPDX-License-Identifier: MIT
//! Linux's serial port beyond reading and writing: modem lines, loopback, flow
//! control.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::console::{Console, Line};
use crate::guest::{self, Config, Guest};
use crate::monitor::Monitor;
use crate::probe::loopback;
use crate::report::Report;
use crate::scenarios::boot::{QUIET, uart_line};
use crate::scenarios::transfer::{RAW, RESTORE, TRANSFER, from_guest, to_guest};
use crate::shell::{SHORT, Shell};
use crate::{command, daemon, pattern};

/// Hardware flow control on and off: the far side is always ready, so it has no
/// effect.
pub(crate) fn crtscts(report: &mut Report) -> Result<()> {
    let guest = guest("crtscts")?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    for (seed, (setting, shown)) in (30..)
        .step_by(2)
        .zip([("crtscts", " crtscts"), ("-crtscts", " -crtscts")])
    {
        shell.run(&format!("stty {setting}"), SHORT)?;
        let modes = shell.run("stty -a", SHORT)?;
        report.check(
            format_args!("stty {setting} is accepted"),
            modes.replace('\n', " ").contains(&format!("{shown} ")),
            modes.trim(),
        );
        let lines = uart_line(&mut shell)?;
        report.check(
            format_args!("the modem lines with {setting}"),
            lines.ends_with("RTS|CTS|DTR|DSR|CD"),
            lines,
        );
        from_guest(report, &mut shell, setting, seed)?;
        to_guest(report, &mut shell, setting, seed + 1)?;
        let kept = shell.run("stty -a", SHORT)?;
        report.check_eq(
            format_args!("{setting} from start to end"),
            &kept.replace('\n', " ").contains(&format!("{shown} ")),
            &true,
        );
    }
    Ok(())
}

/// Loopback, tested by the probe in the guest.
pub(crate) fn looped(report: &mut Report) -> Result<()> {
    let guest = guest("loopback")?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    // Into a file: the probe's output must not return to it. Nothing else reads the
    // port, because the shell waits for the probe.
    let silence = shell.run("e2e probe loopback >/tmp/found", TRANSFER)?;
    report.check_eq("what reaches the far side", &silence.as_str(), &"");
    let found = shell.run("cat /tmp/found", SHORT)?;
    let found: BTreeMap<String, String> = serde_json::from_str(found.trim())
        .with_context(|| format!("the probe printed {found:?}"))?;
    // The lines that are on: the outputs as set, and the inputs that are wired to
    // them.
    for (step, wanted) in [
        ("before", "DTR RTS CTS CD DSR"),
        ("all off", ""),
        ("RTS on", "RTS CTS"),
        ("DTR on", "DTR DSR"),
        ("OUT1 on", "CD OUT1"),
        ("OUT2 on", "RI OUT2"),
        ("all on", "DTR RTS CTS CD RI DSR OUT1 OUT2"),
        ("after", "DTR RTS CTS CD DSR"),
    ] {
        let lines = found.get(step).map_or("not tried", String::as_str);
        report.check_eq(format_args!("modem lines, {step}"), &lines, &wanted);
    }
    let sum = pattern::sha256(&pattern::bytes(loopback::SEED, loopback::LEN));
    report.check_eq(
        format_args!("{} bytes come back", loopback::LEN),
        &found.get("bytes"),
        &Some(&sum),
    );
    from_guest(report, &mut shell, "the line afterwards", 40)?;
    to_guest(report, &mut shell, "the line afterwards", 41)?;
    Ok(())
}

/// Bytes sent to a guest that does not read: first enough that its terminal makes
/// the driver stop, at 4 KiB, then far more than ring and pty hold.
const STOPPING: usize = 8 * 1024;
const FLOOD: usize = 32 * 1024;
/// What the guest may take of the latter after its driver has stopped: the capacity
/// of a ring and a FIFO.
const HELD: u64 = 1024 + 32;

/// Bytes typed to a guest that never reads: more than all buffers on the way hold.
const TYPED: usize = 1 << 20;

/// A guest's program that does not read makes the driver stop, and then the client;
/// once it reads, all bytes arrive.
pub(crate) fn throttle(report: &mut Report) -> Result<()> {
    let guest = guest("throttle")?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    let mut other = Shell::open(&guest.name, Line::Pv)?;
    // With crtscts the terminal stops the driver when it is full.
    shell.console.send(&format!(
        "{RAW} crtscts; echo \"<\"t\">\"; while [ ! -e /tmp/go ]; do sleep 0.1; done; \
         head -c {} | sha256sum; {RESTORE}\r",
        STOPPING + FLOOD
    ))?;
    shell.console.expect("<t>\n", SHORT)?;
    let before = served(&guest)?;
    let sent = pattern::typeable(50, STOPPING + FLOOD);
    let (stopping, flood) = sent.split_at(STOPPING);
    let console = &mut shell.console;
    console.send_bytes(stopping, TRANSFER)?;
    let stopped = still(&guest, before)?;
    let summed = thread::scope(|scope| {
        let typing = scope.spawn(|| {
            console.send_bytes(flood, TRANSFER)?;
            console.expect("  -", TRANSFER)
        });
        let taken = still(&guest, before)? - stopped;
        report.check(
            "the guest's driver has stopped",
            taken <= HELD,
            format_args!("it took {taken} of {FLOOD} bytes more"),
        );
        other.run("touch /tmp/go", SHORT)?;
        typing
            .join()
            .unwrap_or_else(|_| bail!("the typing thread panicked"))
    })?;
    report.check_eq(
        "all bytes arrive",
        &String::from_utf8_lossy(&summed).as_ref(),
        &pattern::sha256(&sent).as_str(),
    );
    let lines = uart_line(&mut shell)?;
    report.check("no overrun", !lines.contains("oe:"), lines);
    never(report, &mut other)
}

/// A guest that never reads receives a ring and a FIFO of input, and no more; the
/// daemon does not grow, and another guest is not affected.
fn never(report: &mut Report, other: &mut Shell) -> Result<()> {
    let deaf = Config::monitor("deaf").pl011().create()?;
    let mut monitor = Monitor::open(&deaf.name)?;
    monitor.deafen()?;
    let pid = daemon::status()?.pid;
    let (before, memory) = (served(&deaf)?, daemon::memory(pid)?);
    let typed = pattern::typeable(51, TYPED);
    let sent = monitor.stuff(&typed, Duration::from_secs(3))?;
    let taken = still(&deaf, before)? - before;
    report.check(
        "a guest that never reads has a full ring of input",
        (1024..=HELD).contains(&taken),
        format_args!("{taken} bytes"),
    );
    report.check(
        "its client can still be left",
        monitor.leave()?,
        format_args!("after {sent} bytes"),
    );
    let grown = daemon::memory(pid)?.saturating_sub(memory);
    report.check(
        "the daemon has not grown",
        grown < 1024,
        format_args!("{grown} KiB"),
    );
    report.check_eq(
        "another guest prints meanwhile",
        &other.run("seq 500", SHORT)?,
        &pattern::numbers(500, "\n"),
    );
    let mut client = Console::open(&deaf.name, Line::Vuart)?;
    let domid = deaf.domid;
    deaf.destroy()?;
    let gone = || guest::domids().is_ok_and(|left| !left.contains(&domid));
    report.check("it can be destroyed", command::poll(guest::GONE, gone), "");
    report.check(
        "then its client ends",
        command::poll(guest::GONE, || !client.is_open()),
        "by itself",
    );
    Ok(())
}

fn guest(name: &str) -> Result<Guest> {
    Config::linux(name).pl011().bootargs(QUIET).create()
}

/// Bytes that the daemon gave to the guest's UART.
fn served(guest: &Guest) -> Result<u64> {
    Ok(daemon::status()?
        .console(guest.domid, Line::Vuart)?
        .to_guest)
}

/// Waits until more bytes than `before` have gone to the guest and the number no
/// longer changes; returns it.
fn still(guest: &Guest, before: u64) -> Result<u64> {
    let end = Instant::now() + TRANSFER;
    let mut last = (before, Instant::now());
    while last.0 == before || last.1.elapsed() < Duration::from_secs(2) {
        if Instant::now() > end {
            bail!("bytes go to the guest without end: {}", last.0);
        }
        thread::sleep(command::TICK);
        let now = served(guest)?;
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    Ok(last.0)
}
