// SPDX-License-Identifier: MIT
//! Debian's installer as a guest, driven through its first questions, whose text
//! interface redraws a screen.

use std::time::Duration;

use anyhow::Result;

use crate::console::{Console, Line};
use crate::guest::Config;
use crate::report::Report;
use crate::shell::SHORT;

/// The limit of a step: loading what it needs, on a busy machine.
const STEP: Duration = Duration::from_secs(600);

const ENTER: &str = "\r";
const DOWN: &str = "\x1b[B";

/// Each question by `xl console`, then by `vconsole`, with an answer.
pub(crate) fn installer(report: &mut Report) -> Result<()> {
    let config = Config::installer("installer").pl011();
    let guest = config.bootargs("console=ttyAMA0").create()?;
    let mut console = Console::open(&guest.name, Line::Vuart)?;
    let asked = console.expect("Select a language", STEP);
    report.check_ok("xl console: it asks for the language", asked);
    console.expect("English", STEP)?;
    console.send(ENTER)?;
    let asked = console.expect("Select your location", STEP);
    report.check_ok("xl console: it asks for the country", asked);
    report.data("by xl console", console.transcript());
    report.check("xl console: ^] leaves", console.leave()?, "within 10 s");

    let target = format!("{}/vuart0", guest.name);
    let mut console = Console::spawn("vconsole", &["attach", &target])?;
    console.expect("^T ? helps]", SHORT)?;
    console.send(DOWN)?;
    console.send(ENTER)?;
    let asked = console.expect("Configure the keyboard", STEP);
    report.check_ok("vconsole: it asks for the keyboard", asked);
    report.data("by vconsole", console.transcript());
    Ok(())
}
