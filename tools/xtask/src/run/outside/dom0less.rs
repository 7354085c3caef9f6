// SPDX-License-Identifier: MIT
//! A Linux guest that Xen starts itself: the backend in Xen (D12).

use std::time::Duration;

use anyhow::Result;

use super::Checks;
use super::terminal::Terminal;

/// Timeout from power-on to a shell, on a busy machine.
const BOOT: Duration = Duration::from_secs(240);
/// Timeout of a command that only prints.
const SHORT: Duration = Duration::from_secs(60);

/// Switches the console's input: from dom0 to the guest, to Xen, to dom0.
const SWITCH: &str = "\x01\x01\x01";

const TO_DOM0: &str = "*** Serial input to DOM0";
const TO_GUEST: &str = "*** Serial input to DOM1";
const TO_XEN: &str = "*** Serial input to Xen";

/// The prefix of a guest's lines while the input is not the guest's.
const PREFIX: &str = "DOM1: ";

/// Linux's name for an SBSA UART.
const SBSA: &str = "SBSA";

/// `vpl011 = "pl011"` in the guest's node.
pub(super) fn pl011(terminal: &mut Terminal, checks: &mut Checks) -> Result<()> {
    play(terminal, checks, "PL011 rev3")
}

/// `vpl011` alone, as in upstream's documents.
pub(super) fn sbsa(terminal: &mut Terminal, checks: &mut Checks) -> Result<()> {
    play(terminal, checks, SBSA)
}

/// With a UART that the guest's driver names `driver`.
fn play(terminal: &mut Terminal, checks: &mut Checks, driver: &str) -> Result<()> {
    terminal.expect(&format!("is a {driver}"), BOOT)?;
    terminal.expect("Run /init as init process", BOOT)?;
    lines_are_prefixed(&terminal.shown(), driver, checks);

    terminal.expect("dom0:/# ", BOOT)?;
    terminal.send("echo dom0-$((6*7))\r")?;
    let answer = terminal.expect("dom0-42", SHORT);
    checks.ok("at first the console's input goes to dom0", answer)?;

    terminal.send(SWITCH)?;
    terminal.expect(TO_GUEST, SHORT)?;
    terminal.send("\r")?;
    terminal.expect("guest:/# ", BOOT)?;
    terminal.send("echo guest-$((6*7))\r")?;
    let before = terminal.expect("guest-42", SHORT)?;
    checks.check(
        "while it has the input, the guest's output has no prefix",
        !before.contains("DOM1:"),
        before.trim(),
    );
    output_is_complete(terminal, checks)?;
    the_driver_is_content(terminal, driver, checks)?;
    a_guest_that_does_not_read(terminal, checks)
}

/// The kernel's log, printed while the input is dom0's.
fn lines_are_prefixed(shown: &str, driver: &str, checks: &mut Checks) {
    let lines: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.split_once(PREFIX))
        .map(|(_, line)| line)
        .collect();
    let first = lines.first().copied().unwrap_or_default();
    checks.check(
        "the first line of the guest's kernel",
        first.contains("Booting Linux on physical CPU"),
        first,
    );
    let whole = lines.iter().filter(|line| line.starts_with('[')).count();
    checks.check(
        "otherwise lines are whole, with the guest's name",
        whole > 100,
        format!("{whole} of {} begin with a time", lines.len()),
    );
    let found = lines.iter().find(|line| line.contains("ttyAMA0 at MMIO"));
    checks.check(
        "the guest's driver is that of its device",
        found.is_some_and(|line| {
            line.contains("0x22000000") && line.contains(&format!("is a {driver}"))
        }),
        found.copied().unwrap_or("none"),
    );
}

/// Much output, with the driver polling and waiting for interrupts.
fn output_is_complete(terminal: &mut Terminal, checks: &mut Checks) -> Result<()> {
    terminal.send("seq -s , 1000 1999; echo end-$((6*7))\r")?;
    let text = terminal.expect("end-42", SHORT)?;
    let numbers: Vec<String> = (1000..2000).map(|number| number.to_string()).collect();
    checks.check(
        "5,000 characters of output arrive whole",
        text.contains(&numbers.join(",")),
        format!("{} characters", text.len()),
    );
    terminal.expect("guest:/# ", SHORT).map(drop)
}

/// The flags that Linux reads, and its counters.
fn the_driver_is_content(terminal: &mut Terminal, driver: &str, checks: &mut Checks) -> Result<()> {
    terminal.send("grep ^0: /proc/tty/driver/ttyAMA\r")?;
    terminal.expect("0: uart:", SHORT)?;
    let line = terminal.expect("guest:/# ", SHORT)?;
    // An SBSA UART has no modem lines.
    let modem_lines: &[&str] = match driver {
        SBSA => &[],
        _ => &["CTS|", "DSR|CD"],
    };
    checks.check(
        "no errors, and modem lines as they should be",
        line.starts_with(driver)
            && modem_lines.iter().all(|lines| line.contains(lines))
            && !["fe:", "pe:", "brk:", "oe:"]
                .iter()
                .any(|error| line.contains(error)),
        line.trim(),
    );
    Ok(())
}

/// More input than device and driver hold: only what does not fit is lost, the console
/// and other domains continue, and so does the guest when it reads.
fn a_guest_that_does_not_read(terminal: &mut Terminal, checks: &mut Checks) -> Result<()> {
    terminal.send(
        "stty raw -echo; echo pause-$((6*7)); sleep 9; timeout 1 cat >/tmp/typed; \
         stty sane; echo resume-$((6*7))\r",
    )?;
    terminal.expect("pause-42", SHORT)?;
    terminal.flood(&"x".repeat(6000))?;
    terminal.send(SWITCH)?;
    terminal.expect(TO_XEN, SHORT)?;
    terminal.send("h")?;
    let answer = terminal.expect("show this message", SHORT);
    checks.ok("Xen answers beside a guest that does not read", answer)?;
    terminal.send(SWITCH)?;
    terminal.expect(TO_DOM0, SHORT)?;
    terminal.send("echo dom0-$((7*7))\r")?;
    let answer = terminal.expect("dom0-49", SHORT);
    checks.ok("a guest that does not read delays no other domain", answer)?;
    let answer = terminal.expect("DOM1: resume-42", SHORT);
    checks.ok("and later it continues to read", answer)?;
    terminal.send(SWITCH)?;
    terminal.expect(TO_GUEST, SHORT)?;
    terminal.send("echo k\"\"ept-$(wc -c </tmp/typed)-\r")?;
    terminal.expect("kept-", SHORT)?;
    let count = terminal.expect("-", SHORT)?.parse().unwrap_or(0);
    // At least the device's FIFO and the queue of typed characters; beyond that it is a
    // race between the typist and the guest's CPU.
    checks.check(
        "input that had room was kept",
        (32 + 128..=6000).contains(&count),
        format!("{count} of 6000 characters"),
    );
    Ok(())
}
