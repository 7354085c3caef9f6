// SPDX-License-Identifier: MIT
//! Guests that boot, and the drivers that they bind.

use anyhow::Result;

use crate::console::Line;
use crate::daemon;
use crate::guest::Config;
use crate::report::Report;
use crate::shell::{PROMPT, SHORT, Shell};

/// Kernel messages are on both lines, and a shell is on both.
pub(super) const BOTH_LINES: &str = "console=ttyAMA0 console=hvc0";

/// ttyAMA0 is only for the shell: the kernel prints on the PV console.
pub(super) const QUIET: &str = "console=hvc0 quiet";

/// A shell on both lines of a guest that has the PL011.
pub(crate) fn boot(report: &mut Report) -> Result<()> {
    shells(report, &Config::linux("boot").pl011(), "PL011 rev3")
}

/// A shell on both lines of a guest that has the stock UART.
pub(crate) fn sbsa(report: &mut Report) -> Result<()> {
    shells(report, &Config::linux("sbsa").sbsa(), "SBSA")
}

/// A shell on both lines of a guest whose UART has the driver `wanted`.
fn shells(report: &mut Report, config: &Config, wanted: &str) -> Result<()> {
    let guest = config.clone().bootargs(BOTH_LINES).create()?;
    for line in Line::BOTH {
        let mut shell = Shell::open(&guest.name, line)?;
        let tty = shell.run("tty", SHORT)?;
        report.check_eq(
            format_args!("shell on {}", line.name()),
            &tty.trim(),
            &tty_path(line).as_str(),
        );
        if line == Line::Vuart {
            report_driver(report, &mut shell, wanted)?;
        }
    }
    Ok(())
}

/// The kernel's log on ttyAMA0, by earlycon first and then by the driver, is the
/// same as the kernel's own, line for line, up to the first process.
pub(crate) fn earlycon(report: &mut Report) -> Result<()> {
    let bootargs = "earlycon=pl011,0x22000000 console=ttyAMA0 ignore_loglevel";
    let guest = Config::linux("earlycon")
        .pl011()
        .bootargs(bootargs)
        .create()?;
    let mut shell = Shell::open(&guest.name, Line::Pv)?;
    let messages = shell.run("dmesg", SHORT)?;
    let log = daemon::log(&guest.name, Line::Vuart)?;
    let kernels = until_user_space(&messages);
    let (printed, twice) = by_both_consoles(until_user_space(&log));
    let first = printed.first().copied().unwrap_or_default();
    report.check(
        "the first line",
        first.contains("Booting Linux on physical CPU"),
        first,
    );
    report.check(
        "earlycon hands over to the driver",
        twice
            .iter()
            .any(|line| line.contains("console [ttyAMA0] enabled")),
        format_args!("both print {twice:?}"),
    );
    let last = kernels.last().copied().unwrap_or_default();
    report.check(
        "the first process starts",
        last.contains(FIRST_PROCESS),
        last,
    );
    report.check(
        "every line is on ttyAMA0, in order and once",
        kernels.len() > 100 && printed == kernels,
        first_difference(&printed, &kernels),
    );
    let shells = log.rsplit(FIRST_PROCESS).next().unwrap_or_default();
    report.check(
        "then user space prints",
        shells.contains(PROMPT),
        "a prompt",
    );
    Ok(())
}

/// The kernel's last message before a process can print.
const FIRST_PROCESS: &str = "Run /init as init process";

/// The lines of a log up to the first process.
fn until_user_space(log: &str) -> Vec<&str> {
    let lines = log.lines().map(str::trim_end);
    let end = lines.clone().position(|line| line.contains(FIRST_PROCESS));
    lines.take(end.map_or(usize::MAX, |at| at + 1)).collect()
}

/// Earlycon and the driver both print the handover: the log with such lines once,
/// and the lines that were there twice in a row.
fn by_both_consoles(log: Vec<&str>) -> (Vec<&str>, Vec<&str>) {
    let mut once: Vec<&str> = Vec::new();
    let mut twice = Vec::new();
    for line in log {
        if line.contains("printk: ") && line.contains("console [") && once.last() == Some(&line) {
            twice.push(line);
        } else {
            once.push(line);
        }
    }
    (once, twice)
}

/// The first difference of two logs, or their lengths.
fn first_difference(seen: &[&str], wanted: &[&str]) -> String {
    let both = seen.iter().zip(wanted);
    match both.clone().position(|(seen, wanted)| seen != wanted) {
        Some(at) => format!("line {at}: {:?}, wanted {:?}", seen[at], wanted[at]),
        None => format!("{} lines of {}", seen.len(), wanted.len()),
    }
}

/// Checks which driver the guest's kernel bound, by its own message.
pub(super) fn report_driver(
    report: &mut Report,
    shell: &mut Shell,
    wanted: &str,
) -> Result<String> {
    let driver = shell
        .run("dmesg | grep 'ttyAMA0 at'", SHORT)?
        .trim()
        .to_owned();
    let at_home = driver.contains("MMIO 0x22000000");
    report.check(
        "the guest's driver",
        at_home && driver.ends_with(&format!("is a {wanted}")),
        &driver,
    );
    Ok(driver)
}

/// The kernel's line about its UART: counters, and the modem lines that are on.
pub(super) fn uart_line(shell: &mut Shell) -> Result<String> {
    let line = shell.run("grep ^0: /proc/tty/driver/ttyAMA", SHORT)?;
    Ok(line.trim().to_owned())
}

fn tty_path(line: Line) -> String {
    format!("/dev/{}", line.tty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_with_the_first_process() {
        let log = "[0] a\r\n[1] Run /init as init process\r\n[2] c\r\n";
        assert_eq!(
            until_user_space(log),
            ["[0] a", "[1] Run /init as init process"]
        );
        assert_eq!(until_user_space("[0] a\n[1] b\n").len(), 2);
    }

    #[test]
    fn only_the_handover_may_be_printed_twice() {
        let enabled = "[1] printk: console [ttyAMA0] enabled";
        let log = vec!["[0] a", enabled, enabled, "[2] b", "[2] b", enabled];
        let (once, twice) = by_both_consoles(log);
        assert_eq!(once, ["[0] a", enabled, "[2] b", "[2] b", enabled]);
        assert_eq!(twice, [enabled]);
    }

    #[test]
    fn a_difference_is_named() {
        assert_eq!(
            first_difference(&["a", "c"], &["a", "b", "c"]),
            "line 1: \"c\", wanted \"b\""
        );
        assert_eq!(first_difference(&["a"], &["a", "b"]), "1 lines of 2");
    }
}
