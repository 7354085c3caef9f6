// SPDX-License-Identifier: MIT
//! Guests that boot, and which drivers they find.

use anyhow::Result;

use crate::console::Line;
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
