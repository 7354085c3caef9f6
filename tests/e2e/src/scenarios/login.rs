// SPDX-License-Identifier: MIT
//! A login with a typed password.

use anyhow::Result;

use crate::ROOT_PASSWORD;
use crate::console::{Console, Line};
use crate::guest;
use crate::report::Report;
use crate::shell::{BOOT, SHORT, Shell};

const BOOTARGS: &str = "console=hvc0 quiet logins=ttyAMA0";

/// Ends when the terminal shows nothing that is typed: busybox asks for the password
/// before it switches that off.
const NO_ECHO: &str = "until stty -F /dev/ttyAMA0 -a | grep -q -e '-echo '; do :; done";

/// On a guest of each driver: a refused login, a login, and a logout.
pub(crate) fn login(report: &mut Report) -> Result<()> {
    for (driver, guest) in guest::of_each_driver("login", BOOTARGS)? {
        let mut console = Console::open(&guest.name, Line::Vuart)?;
        let mut beside = Shell::open(&guest.name, Line::Pv)?;
        console.expect("guest login: ", BOOT)?;
        enter(&mut console, &mut beside, "wrong password")?;
        let refused = console.expect("Login incorrect", SHORT);
        report.check_ok(
            format_args!("{driver}: a wrong password is refused"),
            refused,
        );
        console.expect("login: ", SHORT)?;
        enter(&mut console, &mut beside, ROOT_PASSWORD)?;
        let mut shell = Shell::login(console, SHORT)?;
        let who = shell.run("tty; id -un", SHORT)?;
        report.check_eq(
            format_args!("{driver}: a command after the login"),
            &who.as_str(),
            &"/dev/ttyAMA0\nroot\n",
        );
        report.check(
            format_args!("{driver}: the password is not shown"),
            !shell.console.transcript().contains(ROOT_PASSWORD),
            "in the transcript",
        );
        shell.console.send("exit\r")?;
        let again = shell.console.expect("guest login: ", SHORT);
        report.check_ok(format_args!("{driver}: it prompts again after exit"), again);
    }
    Ok(())
}

fn enter(console: &mut Console, beside: &mut Shell, password: &str) -> Result<()> {
    console.send("root\r")?;
    console.expect("Password: ", SHORT)?;
    beside.run(NO_ECHO, SHORT)?;
    console.send(&format!("{password}\r"))
}
