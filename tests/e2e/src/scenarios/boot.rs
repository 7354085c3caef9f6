// SPDX-License-Identifier: MIT
//! Guests that boot, and which drivers they find.

use anyhow::Result;

use crate::console::Line;
use crate::daemon;
use crate::guest::{self, Config};
use crate::report::Report;
use crate::shell::{SHORT, Shell};

/// Kernel messages go to both lines, and a shell waits on both.
pub(super) const BOTH_LINES: &str = "console=ttyAMA0 console=hvc0";

/// A shell on both lines of a guest that has the PL011.
pub(crate) fn boot(report: &mut Report) -> Result<()> {
    let guest = Config::linux("boot")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    for line in Line::BOTH {
        let mut shell = Shell::open(&guest.name, line)?;
        let tty = shell.run("tty", SHORT)?;
        report.check_eq(
            format_args!("shell on {}", line.name()),
            &tty.trim(),
            &tty_path(line).as_str(),
        );
        if line == Line::Vuart {
            report_driver(report, &mut shell, "PL011 rev3")?;
        }
    }
    Ok(())
}

/// A shell on both lines of a guest that has the stock UART.
pub(crate) fn sbsa(report: &mut Report) -> Result<()> {
    let guest = Config::linux("sbsa").sbsa().bootargs(BOTH_LINES).create()?;
    for line in Line::BOTH {
        let mut shell = Shell::open(&guest.name, line)?;
        let tty = shell.run("tty", SHORT)?;
        report.check_eq(
            format_args!("shell on {}", line.name()),
            &tty.trim(),
            &tty_path(line).as_str(),
        );
        if line == Line::Vuart {
            report_driver(report, &mut shell, "SBSA")?;
        }
    }
    Ok(())
}

/// The kernel's first words, by earlycon, then by the driver.
pub(crate) fn earlycon(report: &mut Report) -> Result<()> {
    let bootargs = "earlycon=pl011,0x22000000 console=ttyAMA0 ignore_loglevel";
    let guest = Config::linux("earlycon")
        .pl011()
        .bootargs(bootargs)
        .create()?;
    let mut shell = Shell::open(&guest.name, Line::Pv)?;
    let messages = shell.run("dmesg", SHORT)?;
    let log = daemon::log(&guest.name, Line::Vuart)?;
    let first = log.lines().next().unwrap_or_default().trim_end();
    report.check(
        "the first line",
        first.contains("Booting Linux on physical CPU"),
        first,
    );
    // Later ones mix with what the init prints.
    let kernels = messages
        .lines()
        .take_while(|line| !line.contains("Run /init"));
    let (count, missing) = in_order(kernels, &log);
    report.check("kernel lines before the first process", count > 100, count);
    report.check(
        "every one is on ttyAMA0, in order",
        missing.is_none(),
        missing.unwrap_or("none missing"),
    );
    Ok(())
}

/// How many lines `text` holds in order, and the first that it does not.
fn in_order<'a>(lines: impl Iterator<Item = &'a str>, mut text: &str) -> (usize, Option<&'a str>) {
    let mut count = 0;
    for line in lines {
        let Some(at) = text.find(line) else {
            return (count, Some(line));
        };
        text = &text[at + line.len()..];
        count += 1;
    }
    (count, None)
}

/// Our tools and daemon on a hypervisor that knows nothing of them.
pub(crate) fn stock_hypervisor(report: &mut Report) -> Result<()> {
    let refused = Config::linux("refused").pl011().xl_create(&[])?;
    report.check("pl011=1 is refused", !refused.success, refused.text.trim());
    report.check(
        "the message names pl011 and the hypervisor",
        ["pl011", "hypervisor"]
            .iter()
            .all(|word| refused.text.to_lowercase().contains(word)),
        refused.text.trim(),
    );
    report.check(
        "no domain is left",
        guest::all_gone(),
        format_args!("{:?}", guest::domids()),
    );
    sbsa(report)
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

fn tty_path(line: Line) -> String {
    format!("/dev/{}", line.tty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_line_is_named() {
        let log = "[0] a\r\n[1] b\r\n[2] c\r\n";
        assert_eq!(in_order(["[0] a", "[2] c"].into_iter(), log), (2, None));
        assert_eq!(
            in_order(["[0] a", "[3] d"].into_iter(), log),
            (1, Some("[3] d"))
        );
        assert_eq!(
            in_order(["[2] c", "[1] b"].into_iter(), log),
            (1, Some("[1] b"))
        );
    }
}
