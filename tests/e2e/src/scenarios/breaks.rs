// SPDX-License-Identifier: MIT
//! A break from dom0 to a Linux guest.

use anyhow::Result;

use crate::console::Line;
use crate::daemon;
use crate::guest::Config;
use crate::report::Report;
use crate::scenarios::boot::uart_line;
use crate::shell::{SHORT, Shell};

/// SysRq works on a console of the kernel.
const BOOTARGS: &str = "console=hvc0 console=ttyAMA0 quiet sysrq_always_enabled";
/// The beginning and the end of the kernel's help.
const HELP: [&str; 2] = ["sysrq: HELP : ", "\r\n"];

/// The key after a break is for the kernel, any other for the shell.
pub(crate) fn sysrq(report: &mut Report) -> Result<()> {
    let guest = Config::linux("sysrq").pl011().bootargs(BOOTARGS).create()?;
    let mut shell = Shell::open(&guest.name, Line::Vuart)?;
    let before = uart_line(&mut shell)?;
    report.check("no break so far", !before.contains("brk:"), before);

    let answer = daemon::send_break(guest.domid, "vuart0")?;
    report.check_eq("a break is sent", &answer.trim(), &r#"{"done":"break"}"#);
    shell.console.send("h")?;
    let shown = shell.console.expect(HELP[0], SHORT)?;
    let help = shell.console.expect(HELP[1], SHORT)?;
    let help = String::from_utf8_lossy(&help).into_owned();
    report.check(
        "the kernel prints its help",
        ["reboot(b)", "sync(s)"]
            .iter()
            .all(|key| help.contains(key)),
        &help,
    );
    report.check(
        "the shell gets neither break nor key",
        !shown.contains(&b'h'),
        String::from_utf8_lossy(&shown),
    );
    let echo = shell.run("echo h", SHORT)?;
    report.check_eq("the next h goes to the shell", &echo.as_str(), &"h\n");
    let after = uart_line(&mut shell)?;
    report.check("the driver counted it", after.contains("brk:1 "), after);

    for (console, word) in [("pv0", "PV console"), ("vuart1", "no console")] {
        let answer = daemon::send_break(guest.domid, console)?;
        report.check(
            format_args!("a break for {console} is refused"),
            answer.contains("error") && answer.contains(word),
            answer.trim(),
        );
    }
    Ok(())
}
