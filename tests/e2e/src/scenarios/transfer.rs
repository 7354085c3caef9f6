// SPDX-License-Identifier: MIT
//! Bytes each way, and that none is lost, doubled or changed.

use std::time::Duration;

use anyhow::Result;

use crate::console::Line;
use crate::guest::Config;
use crate::pattern;
use crate::report::Report;
use crate::scenarios::boot::BOTH_LINES;
use crate::shell::{SHORT, Shell};

/// 64 KiB, with an emulated CPU that is busy elsewhere too.
const TRANSFER: Duration = Duration::from_secs(40);

/// 64 KiB each way on each console.
pub(crate) fn transfer(report: &mut Report) -> Result<()> {
    let guest = Config::linux("transfer")
        .pl011()
        .bootargs(BOTH_LINES)
        .create()?;
    for (line, seed) in Line::BOTH.into_iter().zip(1..) {
        let mut shell = Shell::open(&guest.name, line)?;
        from_guest(report, &mut shell, line, seed)?;
        to_guest(report, &mut shell, line, seed + 10)?;
    }
    Ok(())
}

/// The guest prints every byte value, unchanged by its terminal.
pub(super) fn from_guest(
    report: &mut Report,
    shell: &mut Shell,
    line: Line,
    seed: u32,
) -> Result<()> {
    let wanted = pattern::bytes(seed, pattern::LEN);
    shell.console.send(&format!(
        "stty raw -echo; echo \"<\"b\">\"; e2e probe pattern {seed} {}; stty sane\r",
        pattern::LEN
    ))?;
    shell.console.expect("<b>\n", SHORT)?;
    let came = shell.console.expect_bytes(wanted.len(), TRANSFER)?;
    let sum = shell.run(
        &format!("e2e probe pattern {seed} {} | sha256sum", pattern::LEN),
        SHORT,
    )?;
    let same = came == wanted && sum.starts_with(&pattern::sha256(&came));
    let id = format!("64 KiB from the guest on {}", line.name());
    report.check(id, same, pattern::difference(&came, &wanted));
    Ok(())
}

/// The guest sums up what is typed at it.
pub(super) fn to_guest(
    report: &mut Report,
    shell: &mut Shell,
    line: Line,
    seed: u32,
) -> Result<()> {
    let sent = pattern::typeable(seed, pattern::LEN);
    shell.console.send(&format!(
        "stty raw -echo; echo \"<\"r\">\"; head -c {} | sha256sum; stty sane\r",
        pattern::LEN
    ))?;
    shell.console.expect("<r>\n", SHORT)?;
    shell.console.send_bytes(&sent, TRANSFER)?;
    let sum = shell.console.expect("  -", TRANSFER)?;
    let wanted = pattern::sha256(&sent);
    let guests = String::from_utf8_lossy(&sum).into_owned();
    report.check_eq(
        format_args!("64 KiB to the guest on {}", line.name()),
        &guests,
        &wanted,
    );
    Ok(())
}
