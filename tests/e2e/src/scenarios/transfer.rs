// SPDX-License-Identifier: MIT
//! Transfers in both directions: no byte is lost, repeated or changed.

use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::console::Line;
use crate::guest::{self, Config};
use crate::pattern;
use crate::report::Report;
use crate::scenarios::boot::{BOTH_LINES, QUIET, report_driver, uart_line};
use crate::shell::{SHORT, Shell};

/// The limit for 64 KiB, on a busy machine.
pub(super) const TRANSFER: Duration = Duration::from_secs(120);

/// 64 KiB each way on each console.
pub(crate) fn transfer(report: &mut Report) -> Result<()> {
    let guest = Config::linux("transfer")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    for (line, seed) in Line::BOTH.into_iter().zip(1..) {
        let mut shell = Shell::open(&guest.name, line)?;
        from_guest(report, &mut shell, line.name(), seed)?;
        to_guest(report, &mut shell, line.name(), seed + 10)?;
    }
    Ok(())
}

/// In a guest's shell: sets raw mode, and restores the modes.
pub(super) const RAW: &str = "modes=$(stty -g); stty raw -echo";
pub(super) const RESTORE: &str = "stty $modes";

/// 64 KiB into a guest of each driver, without errors.
pub(crate) fn paste(report: &mut Report) -> Result<()> {
    for (seed, (driver, guest)) in (20..).zip(guest::of_each_driver("paste", QUIET)?) {
        let mut shell = Shell::open(&guest.name, Line::Vuart)?;
        report_driver(report, &mut shell, driver)?;
        to_guest(report, &mut shell, &format!("the {driver} driver"), seed)?;
        let counted = uart_line(&mut shell)?;
        let errors = ["fe:", "pe:", "brk:", "oe:"];
        report.check(
            format_args!("the {driver} driver counts no error"),
            !errors.iter().any(|error| counted.contains(error)),
            counted,
        );
    }
    Ok(())
}

/// Both clients at once: input is echoed on its own console only, and both lines
/// carry output at the same time.
pub(crate) fn both(report: &mut Report) -> Result<()> {
    let guest = Config::linux("both")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    let mut vuart = Shell::open(&guest.name, Line::Vuart)?;
    let mut pv = Shell::open(&guest.name, Line::Pv)?;
    for (line, shell) in [(Line::Vuart, &mut vuart), (Line::Pv, &mut pv)] {
        let word = format!("typed-on-{}", line.name());
        shell.console.send("echo \"<\"c\">\"; cat\r")?;
        shell.console.expect("<c>\r\n", SHORT)?;
        shell.console.send(&format!("{word}\r"))?;
        // Once as the terminal's echo, once from cat.
        for from in ["the terminal", "the program"] {
            let seen = shell.console.expect(&word, SHORT);
            report.check_ok(format_args!("echo by {from} on {}", line.name()), seen);
        }
        shell.console.send("\x04")?;
        shell.run("true", SHORT)?;
    }
    for (other, shell) in [("pv", &vuart), ("vuart", &pv)] {
        let strays = shell
            .console
            .transcript()
            .matches(&format!("typed-on-{other}"))
            .count();
        report.check_eq(
            format_args!("words of {other} on the other console"),
            &strays,
            &0,
        );
    }
    std::thread::scope(|scope| {
        let pv = scope.spawn(|| print_lines(&mut pv));
        let vuart = scope.spawn(|| print_lines(&mut vuart));
        for (name, printed) in [("vuart", vuart.join()), ("pv", pv.join())] {
            let printed = printed.unwrap_or_else(|_| Err(anyhow!("the reader panicked")));
            if let Some(seen) = report.check_ok(format_args!("output on {name}"), printed) {
                let wanted = pattern::numbers(LINES, "\n");
                report.check(
                    format_args!("the lines on {name}"),
                    seen == wanted,
                    pattern::difference(seen.as_bytes(), wanted.as_bytes()),
                );
            }
        }
    });
    report.check(
        "each client leaves on ^]",
        vuart.console.leave()? && pv.console.leave()?,
        "both",
    );
    Ok(())
}

/// How many numbers each console prints, both at the same time.
const LINES: usize = 2000;

fn print_lines(shell: &mut Shell) -> Result<String> {
    shell.run(&format!("seq {LINES}"), TRANSFER)
}

/// The guest prints every byte value, unchanged by its terminal. `name` identifies
/// the check.
pub(super) fn from_guest(
    report: &mut Report,
    shell: &mut Shell,
    name: &str,
    seed: u32,
) -> Result<()> {
    let wanted = pattern::bytes(seed, pattern::LEN);
    shell.console.send(&format!(
        "{RAW}; echo \"<\"b\">\"; e2e probe pattern {seed} {}; {RESTORE}\r",
        pattern::LEN
    ))?;
    shell.console.expect("<b>\n", SHORT)?;
    let came = shell.console.expect_bytes(wanted.len(), TRANSFER)?;
    let sum = shell.run(
        &format!("e2e probe pattern {seed} {} | sha256sum", pattern::LEN),
        SHORT,
    )?;
    let same = came == wanted && sum.starts_with(&pattern::sha256(&came));
    let id = format!("64 KiB from the guest on {name}");
    report.check(id, same, pattern::difference(&came, &wanted));
    Ok(())
}

/// In a guest's shell: the checksum of its input. A kernel warning meanwhile does
/// not appear on the console.
const SUM: &str = "{ sha256sum >/run/sum; echo '<4>e2e: a warning' >/dev/kmsg; cat /run/sum; }";

/// The guest computes the checksum of its input.
pub(super) fn to_guest(
    report: &mut Report,
    shell: &mut Shell,
    name: &str,
    seed: u32,
) -> Result<()> {
    let sent = pattern::typeable(seed, pattern::LEN);
    shell.console.send(&format!(
        "{RAW}; echo \"<\"r\">\"; head -c {} | {SUM}; {RESTORE}\r",
        pattern::LEN
    ))?;
    shell.console.expect("<r>\n", SHORT)?;
    shell.console.send_bytes(&sent, TRANSFER)?;
    let sum = shell.console.expect("  -", TRANSFER)?;
    let wanted = pattern::sha256(&sent);
    let guests = String::from_utf8_lossy(&sum).into_owned();
    report.check_eq(
        format_args!("64 KiB to the guest on {name}"),
        &guests,
        &wanted,
    );
    Ok(())
}
