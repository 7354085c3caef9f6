// SPDX-License-Identifier: MIT
//! Debian's installer as a guest, driven through its first questions, whose text
//! interface redraws a screen.

use std::time::Duration;

use anyhow::Result;

use crate::console::{Console, Line};
use crate::guest::Config;
use crate::report::Report;
use crate::shell::SHORT;

/// The limits of its start and of each answer, on a busy machine. On an idle one the
/// start takes half a minute, and an answer some seconds.
const START: Duration = Duration::from_secs(600);
const ANSWER: Duration = Duration::from_secs(180);

const ENTER: &str = "\r";
const DOWN: &str = "\x1b[B";

/// Each question by `xl console`, then by `vconsole`, with an answer. The background of
/// the selected line is red (41).
pub(crate) fn installer(report: &mut Report) -> Result<()> {
    let config = Config::installer("installer").pl011();
    let guest = config.bootargs("console=ttyAMA0").create()?;
    let mut console = Console::open(&guest.name, Line::Vuart)?;
    let asked = console.expect("Select a language", START);
    report.must("xl console: it asks for the language", asked)?;
    console.expect("\x1b[41mEnglish", ANSWER)?;
    console.send(ENTER)?;
    let asked = console.expect("Select your location", ANSWER);
    report.must("xl console: Enter, and it asks for the country", asked)?;
    console.expect("\x1b[41mUnited States", ANSWER)?;
    report.data("by xl console", console.transcript());
    report.check("xl console: ^] leaves", console.leave()?, "within 10 s");

    let target = format!("{}/vuart0", guest.name);
    let mut console = Console::spawn("vconsole", &["attach", &target])?;
    console.expect("^T ? helps]", SHORT)?;
    console.send(DOWN)?;
    let selected = console.expect("\x1b[41mZambia", ANSWER);
    report.check_ok("vconsole: Down selects the next country", selected);
    console.send(ENTER)?;
    let asked = console.expect("Configure the keyboard", ANSWER);
    report.check_ok("vconsole: Enter, and it asks for the keyboard", asked);
    report.data("by vconsole", console.transcript());
    Ok(())
}
