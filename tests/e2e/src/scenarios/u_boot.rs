// SPDX-License-Identifier: MIT
//! U-Boot as a guest: a polling driver, and a user at its prompt.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::console::{Console, Line};
use crate::guest::Config;
use crate::report::Report;
use crate::shell::{BOOT, SHORT};

/// The end of its prompt, as configured.
const PROMPT: &str = "=> ";

/// The prompt, and commands that print the version and memory.
pub(crate) fn u_boot(report: &mut Report) -> Result<()> {
    let guest = Config::u_boot("u-boot").pl011().create()?;
    let mut console = Console::open(&guest.name, Line::Vuart)?;
    let start = Instant::now();
    let prompt = loop {
        match console.expect(PROMPT, Duration::from_secs(5)) {
            Err(_) if start.elapsed() < BOOT && console.is_open() => console.send("\r")?,
            other => break other,
        }
    };
    if report.check_ok("its prompt", prompt).is_none() {
        return Ok(());
    }
    for (name, command, wanted) in [
        ("version", "version", "U-Boot 2023.01"),
        // The magic number of a kernel image: U-Boot's own, at the start of RAM.
        (
            "md: the start of RAM",
            "md.l 40000038 1",
            "40000038: 644d5241",
        ),
        // The identification registers of a PL011 r1p5.
        (
            "md: the UART's identification",
            "md.l 22000fe0 4",
            "22000fe0: 00000011 00000010 00000034 00000000",
        ),
        ("its serial driver", "dm uclass", "serial@22000000"),
    ] {
        console.send(&format!("{command}\r"))?;
        console.expect(command, SHORT)?;
        let answer = console.expect(PROMPT, SHORT)?;
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().find(|line| line.contains(wanted));
        report.check(name, line.is_some(), line.unwrap_or(&answer).trim());
    }
    Ok(())
}
