// SPDX-License-Identifier: MIT
//! Configurations that `xl` must refuse with a clear error, without creating a
//! domain.

use std::time::Duration;

use anyhow::Result;

use crate::command;
use crate::guest::{self, Config};
use crate::report::Report;

/// Each invalid line, and words of its message.
pub(crate) fn bad(report: &mut Report) -> Result<()> {
    let plain = || Config::monitor("wrong");
    let cases = [
        (
            "pl011 = \"maybe\"",
            plain().with("pl011 = \"maybe\""),
            ["pl011", "maybe"],
        ),
        (
            "pl011 = maybe",
            plain().with("pl011 = maybe"),
            ["pl011", "maybe"],
        ),
        ("pl011 = 2", plain().with("pl011 = 2"), ["pl011", "2"]),
        (
            "pl011 = [ \"y\" ]",
            plain().with("pl011 = [ \"y\" ]"),
            ["pl011", "invalid"],
        ),
        (
            "pl011 and vuart",
            plain().pl011().sbsa(),
            ["pl011", "vuart"],
        ),
        (
            "pl011 and its interrupt",
            plain().pl011().with("irqs = [ 32 ]"),
            ["pl011", "32"],
        ),
    ];
    for (what, config, words) in cases {
        let finished = config.xl_create(&[])?;
        let said = words.iter().all(|word| finished.text.contains(word));
        report.check(what, !finished.success && said, finished.text.trim());
        report.check_eq(format_args!("{what}: domains"), &guest::domids()?, &vec![]);
    }
    for (line, wanted) in [
        ("pl011 = 0", false),
        ("pl011 = n", false),
        ("pl011 = \"yes\"", true),
    ] {
        let guest = plain().with(line).create_paused()?;
        let (gfn, port) = super::private::private_params(&guest)?;
        let has = gfn != 0 && port != 0;
        report.check(
            line,
            has == wanted,
            format_args!("gfn {gfn:#x}, port {port}"),
        );
    }
    Ok(())
}

/// Dry runs of `xl create` with every spelling, valid and invalid.
const SPELLINGS: &str = include_str!("../../xl-config.sh");
/// The least number of cases.
const CASES: usize = 50;

/// All ways to write `pl011` and channels in a configuration.
pub(crate) fn spellings(report: &mut Report) -> Result<()> {
    let finished = command::run("sh", &["-c", SPELLINGS], Duration::from_secs(200))?;
    let mut passed = 0;
    for line in finished.text.lines() {
        match line.split_once(' ') {
            Some(("ok", _)) => passed += 1,
            Some(("FAIL", what)) => report.check(what, false, &finished.text),
            _ => {}
        }
    }
    report.check(
        "each spelling is accepted, or refused with a message",
        finished.success && passed >= CASES,
        finished.text.lines().last().unwrap_or_default(),
    );
    Ok(())
}
