// SPDX-License-Identifier: MIT
//! The latency of a console.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::linux::Bench;
use super::tty::Tty;
use super::with_uart;
use crate::console::Line;
use crate::guest::{Config, xl};
use crate::report::Report;

const LIMIT: Duration = Duration::from_secs(120);
/// The number of bytes over which the figure is averaged.
const ECHOES: u32 = 64;

/// One byte to a program in the guest and back, repeatedly.
pub(crate) fn echo(report: &mut Report) -> Result<()> {
    let mut bench = Bench::start("echo", Line::Vuart)?;
    bench.probe("echo", &format!("{ECHOES}"))?;
    bench.go()?;
    let mut same = true;
    let mut took = Duration::ZERO;
    for n in 0..ECHOES {
        let sent = [b'A' + u8::try_from(n % 26)?];
        let mut came = [0];
        let start = Instant::now();
        bench.tty.write_all(&sent, LIMIT)?;
        bench.tty.read_exact(&mut came, LIMIT)?;
        took += start.elapsed();
        same &= came == sent;
    }
    bench.found()?;
    report.data("echo", took.as_secs_f64() * 1e9 / f64::from(ECHOES));
    report.check("every byte came back", same, ECHOES);
    Ok(())
}

/// A kernel that prints its whole log, by earlycon and then by its driver; and the
/// same kernel printing nothing, which is the limit for any UART.
pub(crate) fn boot(report: &mut Report) -> Result<()> {
    let took = boot_with("earlycon=pl011,0x22000000 loglevel=8", |seen| {
        let text = String::from_utf8_lossy(seen);
        let lines = text.lines().count();
        let first = text.lines().next().unwrap_or_default();
        report.check(
            "the log from its first line to the shell",
            first.contains("Booting Linux") && lines > 100,
            format_args!("{lines} lines, {} bytes, {first:?}", seen.len()),
        );
    })?;
    report.data("earlycon_boot", took.as_secs_f64() * 1e9);
    let took = boot_with("quiet loglevel=0", |seen| {
        report.check(
            "the shell and no log",
            !seen.windows(5).any(|part| part == b"Linux"),
            format_args!("{} bytes", seen.len()),
        );
    })?;
    report.data("silent_boot", took.as_secs_f64() * 1e9);
    Ok(())
}

/// The time from a guest's first instruction to a shell on its UART; `look`
/// receives the output.
fn boot_with(bootargs: &str, look: impl FnOnce(&[u8])) -> Result<Duration> {
    let guest = with_uart(Config::linux("earlycon"))
        .bootargs(&format!("{bootargs} console=ttyAMA0 shells=ttyAMA0"))
        .create_paused()?;
    let mut tty = Tty::open(guest.domid, Line::Vuart)?;
    let start = Instant::now();
    xl(&["unpause", &guest.name])?;
    let seen = tty.read_to(b"guest:/# ", LIMIT)?;
    let took = start.elapsed();
    look(&seen);
    guest.destroy()?;
    Ok(took)
}
