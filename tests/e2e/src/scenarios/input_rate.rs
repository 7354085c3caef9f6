// SPDX-License-Identifier: MIT
//! A guest with a buffer of 8 bytes (`tests/firmware/src/small_buffer.rs`) loses
//! most of a paste, and nothing with an input rate.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::console::{Console, Line};
use crate::daemon::Daemon;
use crate::guest::Config;
use crate::pattern;
use crate::report::Report;
use crate::scenarios::receivers::fletcher;

/// The daemon's configuration file.
const CONFIGURATION: &str = "/etc/vconsoled.toml";

/// Bytes that the guest waits for.
const PASTE: usize = 400;
/// The most bytes at once at these rates: a byte, and those of a line in 4 ms.
const BURST: u32 = 2;

/// 400 bytes at the slowest rate, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Each guest with its rate in the configuration, and that rate in bytes a second:
/// `auto` is that of 2400 baud.
const GUESTS: [(&str, Option<(&str, u32)>); 3] = [
    ("no-rate", None),
    ("fixed-rate", Some(("200", 200))),
    ("auto-rate", Some(("\"auto\"", 240))),
];

/// Pastes into one guest after the other.
pub(crate) fn input_rate(report: &mut Report) -> Result<()> {
    let rules = GUESTS.iter().filter_map(|(name, rate)| {
        let (rate, _) = (*rate)?;
        Some(format!(
            "[[console]]\ndomain = \"{name}\"\ninput-rate = {rate}\n"
        ))
    });
    fs::write(CONFIGURATION, rules.collect::<String>())?;
    let daemon = Daemon::running()?;
    daemon.end(Signal::TERM)?;
    daemon.start_again()?;
    let tried = GUESTS
        .into_iter()
        .try_for_each(|(name, rate)| paste(report, name, rate.map(|(_, bytes)| bytes)));
    // Later daemons run without it; the rules are for these guests only.
    fs::remove_file(CONFIGURATION)?;
    tried
}

fn paste(report: &mut Report, name: &str, rate: Option<u32>) -> Result<()> {
    let guest = Config::firmware(name, "small-buffer.bin")
        .pl011()
        .create()?;
    let mut console = Console::open(&guest.name, Line::Vuart)?;
    console.expect("<ready>\r\n", LIMIT)?;
    let typed = pattern::typeable(70, PASTE);
    let begin = Instant::now();
    console.send_bytes(&typed, LIMIT)?;
    console.expect("[", LIMIT)?;
    let said = console.expect("]", LIMIT)?;
    let took = begin.elapsed();
    let said = String::from_utf8_lossy(&said).into_owned();
    let Some(rate) = rate else {
        let lost = said.split(' ').next().context("no count")?;
        let lost: usize = lost.parse()?;
        report.check(
            "without a rate most of a paste is lost",
            lost > PASTE / 2,
            format_args!("{lost} bytes of {PASTE}"),
        );
        return Ok(());
    };
    report.check_eq(
        format_args!("{name}: {PASTE} bytes, whole and in order"),
        &said,
        &format!("0 lost, sum {:08x}", fletcher(&typed)),
    );
    let least = Duration::from_secs(1) * (u32::try_from(PASTE)? - BURST) / rate;
    report.check(
        format_args!("{name}: not faster than the rate"),
        took >= least,
        format_args!("{took:?} for {PASTE} bytes at {rate} a second"),
    );
    Ok(())
}
