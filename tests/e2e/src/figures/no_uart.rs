// SPDX-License-Identifier: MIT
//! Xen's cost for a guest without a UART, which measures its own time.

use std::time::Duration;

use anyhow::Result;

use super::registers::counted;
use super::tty::Tty;
use crate::console::Line;
use crate::guest::Config;
use crate::report::Report;

/// How often the guest repeats each measured operation (`COUNT` in
/// `tests/guests/no-uart.c`).
const COUNT: f64 = 100.0;
const ANSWER: Duration = Duration::from_secs(120);

/// Sends a command, which is a letter; returns the number in the answer.
fn ask(tty: &mut Tty, command: &str) -> Result<f64> {
    tty.write_all(command.as_bytes(), ANSWER)?;
    Ok(counted(command, &tty.read_to(b"\r\n", ANSWER)?)?.0)
}

/// Hypercalls, an event, and interrupts between two vCPUs that share one CPU: each
/// sleeps until the other sends it an interrupt.
pub(crate) fn no_uart(report: &mut Report) -> Result<()> {
    let guest = Config::no_uart("no-uart").with("vcpus = 2").create()?;
    let mut tty = Tty::open(guest.domid, Line::Pv)?;
    let tick = 1e9 / ask(&mut tty, "f")?;
    for (name, command, each) in [
        ("hypercall", "h", COUNT),
        ("hypercall_pending", "p", COUNT),
        ("event_pending", "e", COUNT),
        // In both directions.
        ("interrupt_between", "i", 2.0 * COUNT),
    ] {
        let took = ask(&mut tty, command)? * tick / each;
        report.check(
            format_args!("{name} takes time, and no other interrupt came"),
            took > 0.0,
            took,
        );
        report.data(name, took);
    }
    Ok(())
}
