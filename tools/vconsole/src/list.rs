// SPDX-License-Identifier: MIT
//! `vconsole list`: the daemon's consoles, once or repeatedly.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};

use crate::daemon::{Daemon, Row};
use crate::table;
use crate::terminal::output::Output;
use crate::terminal::signals::Signals;
use crate::terminal::{Raw, Screen};

/// How often a live table is drawn.
const PERIOD: Duration = Duration::from_secs(1);
/// Cursor to the top left; clear everything below it; clear the rest of a line.
const HOME: &str = "\x1b[H";
const CLEAR_BELOW: &str = "\x1b[J";
const CLEAR_LINE: &str = "\x1b[K";

/// Prints the daemon's consoles.
pub(crate) fn print(daemon: &Daemon, json: bool) -> anyhow::Result<()> {
    let text = if json {
        daemon.status_line()?
    } else {
        let status = daemon.status()?;
        if let Some(why) = &status.incomplete {
            // Standard error may be closed.
            let _gone = writeln!(io::stderr(), "vconsole: there may be more: {why}");
        }
        table(&status.consoles)
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Prints them repeatedly until the user ends it. If standard output is not a
/// terminal, each list is printed after the previous one.
pub(crate) fn watch(daemon: &Daemon, json: bool) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    let on_screen = !json && rustix::termios::isatty(stdout());
    let raw = if on_screen { Raw::enter()? } else { None };
    let _screen = on_screen.then(Screen::enter);
    let mut output = Output::stdout();
    loop {
        let text = match daemon.status() {
            Ok(status) if !json => table(&status.consoles),
            Ok(_) => daemon.status_line()?,
            // The daemon may come back, so a live table shows the error.
            Err(error) if on_screen => format!("{error:#}\n"),
            Err(error) => return Err(error),
        };
        // While the last list is not written completely, no other is added.
        if on_screen && output.is_empty() {
            let size = rustix::termios::tcgetwinsize(stdout());
            let (rows, columns) = size.map_or((0, 0), |size| (size.ws_row, size.ws_col));
            let page = page(&text, rows.into(), columns.into());
            output.put(format!("{HOME}{page}{CLEAR_BELOW}").as_bytes());
        } else if output.is_empty() {
            output.put(text.as_bytes());
        }
        output.flush().context("standard output")?;
        if enough(&mut signals, &mut output, raw.is_some())? {
            return Ok(());
        }
    }
}

/// As much of a text as fits on a screen of that size, with the sequences that
/// clear the rest of each line. If the size is unknown, all of it.
fn page(text: &str, rows: usize, columns: usize) -> String {
    let room = |size: usize| if size == 0 { usize::MAX } else { size };
    let (rows, columns) = (room(rows), room(columns));
    let count = text.lines().count();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if count > rows {
        lines.truncate(rows - 1);
        lines.push(format!("... and {} more", count + 1 - rows));
    }
    let cut = |line: String| line.chars().take(columns).collect::<String>();
    let lines: Vec<String> = lines.into_iter().map(cut).collect();
    // No end after the last line: it would scroll a full screen.
    format!("{}{CLEAR_LINE}", lines.join(&format!("{CLEAR_LINE}\r\n")))
}

/// Waits a period; `true` at a signal that ends the program, or at any key.
fn enough(signals: &mut Signals, output: &mut Output, keys: bool) -> anyhow::Result<bool> {
    let end = Instant::now() + PERIOD;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left)?;
        let mut fds = vec![PollFd::new(signals, PollFlags::IN), output.interest()];
        if keys {
            fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
        }
        match rustix::event::poll(&mut fds, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[2..].iter().any(|keys| !keys.revents().is_empty()) {
            return Ok(true);
        }
        let (signal, room) = (fds[0].revents(), fds[1].revents());
        output.serve(room).context("standard output")?;
        if !signal.is_empty() {
            // After a suspension the screen is drawn again.
            return Ok(signals.handle()?);
        }
    }
}

/// The most bytes a second that go to the guest.
fn rate(one: &Row) -> String {
    match one.input_rate {
        0 => "-".to_owned(),
        rate => rate.to_string(),
    }
}

fn table(consoles: &[Row]) -> String {
    let head = [
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
        "RATE",
        "STATE",
    ];
    let rows = consoles.iter().map(|one| {
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
            rate(one),
            one.state.clone(),
        ]
    });
    table::aligned(head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_the_screen_has_room_for() {
        let text = "0123456789\nb\nc\nd\n";
        let lines = |rows, columns| {
            let page = page(text, rows, columns);
            let lines = page.split("\r\n");
            let plain = lines.map(|line| line.strip_suffix(CLEAR_LINE).unwrap().to_owned());
            plain.collect::<Vec<_>>()
        };
        assert_eq!(lines(0, 0), ["0123456789", "b", "c", "d"]);
        assert_eq!(lines(4, 5), ["01234", "b", "c", "d"]);
        assert_eq!(lines(3, 80), ["0123456789", "b", "... and 2 more"]);
        assert_eq!(lines(1, 80), ["... and 4 more"]);
    }

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
        let slow = Row {
            input_rate: 960,
            ..console(12, "e\u{1b}[2Jvil", "vuart-private")
        };
        let text = table(&[console(1, "web", "pv"), slow]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let at = lines[0].find("STATE").unwrap();
        assert!(
            lines
                .iter()
                .skip(1)
                .all(|line| line[at..].starts_with("connected"))
        );
        let at = lines[0].find("RATE").unwrap();
        assert!(lines[1][at..].starts_with("- ") && lines[2][at..].starts_with("960 "));
        assert!(lines[2].contains("e[2Jvil") && !text.contains('\u{1b}'));
    }
}
