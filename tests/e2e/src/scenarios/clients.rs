// SPDX-License-Identifier: MIT
//! Clients of a console: every way in which `xl` opens one, and our own beside
//! it.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::command;
use crate::console::{Console, Line};
use crate::guest::Config;
use crate::report::Report;
use crate::scenarios::boot::BOTH_LINES;
use crate::shell::{BOOT, SHORT, Shell};

/// How long `xl console` may search for a console that does not exist.
const GIVES_UP: Duration = Duration::from_secs(60);

/// `xl create -c`, then `xl console` with each of its options, then several
/// clients at once.
pub(crate) fn xl_console(report: &mut Report) -> Result<()> {
    let config = Config::linux("clients").pl011().bootargs(BOTH_LINES);
    let file = config.file()?;
    let mut first = Console::spawn("xl", &["create", "-c", &file])?;
    let started = first.expect("Booting Linux on physical CPU", BOOT);
    report.check_ok("xl create -c shows the first line", started);
    let guest = config.created()?;
    let mut shell = Shell::login(first, BOOT)?;
    let tty = shell.run("tty", SHORT)?;
    report.check_eq(
        "xl create -c is on the PV console",
        &tty.trim(),
        &"/dev/hvc0",
    );
    report.check("it leaves on ^]", shell.console.leave()?, "within 10 s");

    for (options, tty) in [
        (&[][..], "/dev/hvc0"),
        (&["-n", "0"], "/dev/hvc0"),
        (&["-t", "pv"], "/dev/hvc0"),
        (&["-t", "pv", "-n", "0"], "/dev/hvc0"),
        (&["-t", "vuart"], "/dev/ttyAMA0"),
    ] {
        let words = [&["console"], options, &[guest.name.as_str()]].concat();
        let title = format!("xl {}", words.join(" "));
        let console = Console::spawn("xl", &words)?;
        let mut shell = Shell::login(console, BOOT)?;
        let seen = shell.run("tty", SHORT)?;
        report.check_eq(title.as_str(), &seen.trim(), &tty);
        let left = shell.console.leave()?;
        report.check(format_args!("{title}: ^] leaves"), left, "within 10 s");
    }
    let words = ["console", "-t", "pv", "-n", "7", &guest.name];
    let none = command::run("xl", &words, GIVES_UP)?;
    report.check(
        "xl console -t pv -n 7 is refused",
        !none.success,
        none.text.trim(),
    );
    together(report, &guest.name)
}

/// `xl console`, `vconsole attach` twice, and a socket: each has all output.
fn together(report: &mut Report, guest: &str) -> Result<()> {
    let target = format!("{guest}/vuart0");
    let mut shell = Shell::open(guest, Line::Vuart)?;
    let mut others = [
        Console::spawn("vconsole", &["attach", &target])?,
        Console::spawn("vconsole", &["attach", "--read-only", &target])?,
    ];
    for other in &mut others {
        other.expect("^T ? helps]", SHORT)?;
    }
    shell.run("echo seen by \"all\"", SHORT)?;
    for (number, other) in (1..).zip(&mut others) {
        let seen = other.expect("seen by all", SHORT);
        report.check_ok(
            format_args!("vconsole {number} shows what xl console shows"),
            seen,
        );
    }
    let [typist, watcher] = &mut others;
    watcher.send("echo not \"typed\"\r")?;
    typist.send("echo by \"vconsole\"\r")?;
    let seen = shell.console.expect("by vconsole", SHORT);
    report.check_ok("xl console shows what is typed in vconsole", seen);
    let arrived = shell.console.transcript().contains("not typed");
    report.check(
        "input of a read-only client is discarded",
        !arrived,
        "nothing arrived",
    );
    let plain = by_socket(guest, b"by vconsole");
    report.check_ok("the client of a socket shows it too", plain);
    typist.send_bytes(b"\x14b", SHORT)?;
    report.check_ok("a break by the menu", typist.expect("[break sent]", SHORT));
    typist.send_bytes(b"\x14?", SHORT)?;
    report.check_ok("help by the menu", typist.expect("send ^T itself", SHORT));
    // The socket's reader may take a moment to disconnect.
    let mut row = String::new();
    let three = command::poll(SHORT, || {
        row = list_row("vuart0").unwrap_or_default();
        row.split_whitespace().nth(5) == Some("3")
    });
    report.check("vconsole list counts three viewers", three, row);
    let [typist, watcher] = others;
    report.check(
        "vconsole leaves on ^]",
        typist.leave()? && watcher.leave()?,
        "both",
    );
    let said = command::run("vconsole", &["log", &target], SHORT)?.ok()?;
    let complete = said.contains("Booting Linux") && said.contains("by vconsole");
    report.check(
        "vconsole log has it from the first line",
        complete,
        said.len(),
    );
    Ok(())
}

/// Reads a console's own socket, from its history, up to `words`.
fn by_socket(guest: &str, words: &[u8]) -> Result<()> {
    let path = format!("/run/vconsoled/consoles/by-name/{guest}/vuart0.ro.sock");
    let mut socket = UnixStream::connect(&path).with_context(|| path)?;
    socket.set_read_timeout(Some(SHORT))?;
    let mut seen = Vec::new();
    while !seen.windows(words.len()).any(|part| part == words) {
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer)? {
            0 => bail!("an end after {} bytes", seen.len()),
            length => seen.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(())
}

/// The line of a console in the client's table.
fn list_row(console: &str) -> Result<String> {
    let table = command::run("vconsole", &["list"], SHORT)?.ok()?;
    let row = table.lines().find(|row| row.contains(console));
    Ok(row.unwrap_or_default().to_owned())
}
