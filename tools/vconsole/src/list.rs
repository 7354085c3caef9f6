// SPDX-License-Identifier: MIT
//! `vconsole list`: what the daemon says of its consoles, once or again and
//! again.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::stdio::stdin;

use crate::daemon::{Daemon, Row};
use crate::session::stop_signals;
use crate::terminal::Raw;

/// How often a live table is drawn.
const PERIOD: Duration = Duration::from_secs(1);
/// To the top left, and off with what is below; off with the rest of a line.
const HOME: &str = "\x1b[H";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_LINE: &str = "\x1b[K";
/// A screen of its own without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Prints the daemon's consoles.
pub(crate) fn print(daemon: &Daemon, json: bool) -> anyhow::Result<()> {
    let text = if json {
        daemon.status_line()?
    } else {
        table(&daemon.status()?.consoles)
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Prints them until the user has seen enough. Where standard output is no
/// terminal, each look follows the last.
pub(crate) fn watch(daemon: &Daemon, json: bool) -> anyhow::Result<()> {
    let stopped = stop_signals()?;
    let screen = !json && rustix::termios::isatty(rustix::stdio::stdout());
    let raw = if screen { Raw::enter()? } else { None };
    let mut stdout = io::stdout().lock();
    if screen {
        stdout.write_all(ENTER.as_bytes())?;
    }
    let result = draw(daemon, json, screen, raw.is_some(), &stopped, &mut stdout);
    if screen {
        stdout.write_all(LEAVE.as_bytes())?;
        stdout.flush()?;
    }
    result
}

fn draw(
    daemon: &Daemon,
    json: bool,
    screen: bool,
    keys: bool,
    stopped: &UnixStream,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    loop {
        let text = match daemon.status() {
            Ok(status) if !json => table(&status.consoles),
            Ok(_) => daemon.status_line()?,
            // It may come back; one who watches wants to see that.
            Err(error) if screen => format!("{error:#}\n"),
            Err(error) => return Err(error),
        };
        if screen {
            let lines = text.replace('\n', &format!("{CLEAR_LINE}\r\n"));
            write!(out, "{HOME}{lines}{CLEAR_BELOW}")?;
        } else {
            write!(out, "{text}")?;
        }
        out.flush()?;
        if enough(stopped, keys)? {
            return Ok(());
        }
    }
}

/// Waits a period; `true` when it is time to go: a signal, or any key.
fn enough(stopped: &UnixStream, keys: bool) -> io::Result<bool> {
    let mut fds = vec![PollFd::new(stopped, PollFlags::IN)];
    if keys {
        fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
    }
    let period = Timespec::try_from(PERIOD).map_err(|_| io::ErrorKind::InvalidInput)?;
    match rustix::event::poll(&mut fds, Some(&period)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn table(consoles: &[Row]) -> String {
    const HEAD: [&str; 12] = [
        "ID",
        "DOMAIN",
        "CONSOLE",
        "KIND",
        "TTY",
        "VIEWERS",
        "FROM GUEST",
        "TO GUEST",
        "DROPPED",
        "OUT",
        "IN",
        "STATE",
    ];
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(consoles.iter().map(|one| {
        [
            one.domid.to_string(),
            one.plain_name(),
            one.console.clone(),
            one.kind.clone(),
            one.tty.clone(),
            one.viewers.to_string(),
            one.from_guest.to_string(),
            one.to_guest.to_string(),
            (one.dropped + one.lost).to_string(),
            one.out_waiting.to_string(),
            one.in_waiting.to_string(),
            one.state.clone(),
        ]
    }));
    let mut widths = [0; HEAD.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let line: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_aligned_and_plain() {
        let console = |domid, name: &str, kind: &str| Row {
            domid,
            name: name.into(),
            console: "pv0".into(),
            kind: kind.into(),
            tty: "/dev/pts/3".into(),
            from_guest: 10,
            to_guest: 2,
            state: "connected".into(),
            ..Row::default()
        };
        let text = table(&[
            console(1, "web", "pv"),
            console(12, "e\u{1b}[2Jvil", "vuart-private"),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let at = lines[0].find("STATE").unwrap();
        assert!(
            lines
                .iter()
                .skip(1)
                .all(|line| line[at..].starts_with("connected"))
        );
        assert!(lines[2].contains("e[2Jvil") && !text.contains('\u{1b}'));
    }
}
