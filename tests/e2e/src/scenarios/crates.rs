// SPDX-License-Identifier: MIT
//! Bare-metal guests with published PL011 drivers, unmodified.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::console::{Console, Line};
use crate::guest::Config;
use crate::report::Report;
use crate::{command, daemon};

const LIMIT: Duration = Duration::from_secs(120);

/// The crates; `tests/firmware` has an image for each.
const CRATES: [&str; 2] = ["arm-pl011-uart", "arm_pl011"];

/// Lines of text that each guest prints before it reads.
const LINES: usize = 200;

/// A line longer than the FIFO.
const TYPED: &str = "typed by a person who pastes more than fits into the FIFO";

/// Runs one guest after the other.
pub(crate) fn guests(report: &mut Report) -> Result<()> {
    CRATES
        .into_iter()
        .try_for_each(|name| guest(report, name).with_context(|| name.to_owned()))
}

fn guest(report: &mut Report, name: &str) -> Result<()> {
    let guest = Config::firmware(name, &format!("{name}.bin"))
        .pl011()
        .create()?;
    let mut console = Console::open(&guest.name, Line::Vuart)?;
    // Output from before the client was attached may be beyond its history.
    console.send("\r")?;
    console.expect(" interrupts]\r\n", LIMIT)?;
    // The log is some milliseconds behind the console.
    let mut log = String::new();
    let _complete_or_judged_below = command::poll(LIMIT, || {
        log = daemon::log(&guest.name, Line::Vuart).unwrap_or_default();
        log.lines().count() > LINES
    });
    let text: Vec<&str> = log.lines().take(LINES).collect();
    let wanted: Vec<String> = (0..LINES)
        .map(|number| format!("{name} line {number:03} of the text"))
        .collect();
    report.check(
        format_args!("{name}: the text, whole and in order"),
        text == wanted,
        format_args!("{} lines, the last {:?}", text.len(), text.last()),
    );
    console.send(&format!("{TYPED}\r"))?;
    let echo = console.expect("\r\n[", LIMIT)?;
    report.check_eq(
        format_args!("{name}: what was typed is echoed"),
        &String::from_utf8_lossy(&echo).as_ref(),
        &TYPED,
    );
    let interrupts = console.expect(" interrupts]", LIMIT)?;
    let interrupts: usize = String::from_utf8_lossy(&interrupts).parse()?;
    report.check(
        format_args!("{name}: interrupts, at most one a byte"),
        (2..=TYPED.len() + 2).contains(&interrupts),
        interrupts,
    );
    Ok(())
}
