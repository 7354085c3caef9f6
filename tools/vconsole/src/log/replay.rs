// SPDX-License-Identifier: MIT
//! `vconsole replay`: plays a console's recording at its original speed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use rustix::stdio::stdout;

use super::cast::{Cast, Line, Pace};
use super::files::{self, Part, Place};
use super::select::Wanted;
use super::{Printer, complain, left_behind};
use crate::choose;
use crate::daemon::Daemon;
use crate::exit::{self, Why};
use crate::options::Playing;

/// Resets a terminal that a recording left in the middle of something: no
/// attributes, and a visible cursor.
const RESET: &[u8] = b"\x1b[0m\x1b[?25h\r\n";

/// Plays a file, or all files of a console's recording, the oldest first.
pub(crate) fn play(daemon: &Daemon, what: &str, options: &Playing) -> anyhow::Result<()> {
    let file = Path::new(what);
    let (path, parts) = if file.is_file() {
        let part = files::one(file).with_context(|| what.to_owned())?;
        (file.to_owned(), vec![part])
    } else {
        let path = recording(daemon, what, options)?;
        let parts = files::list(&path).with_context(|| path.display().to_string())?;
        (path, parts)
    };
    let mut player = Player {
        printer: Printer::new(options.filter, Wanted::default())?,
        pace: Pace::new(options.speed, options.max_idle),
        due: Instant::now(),
        known: false,
        nonsense: 0,
    };
    for part in parts {
        if !player.part(part, &path)? {
            // The user ended it: success.
            return player.end();
        }
    }
    player.end()?;
    if !player.known {
        let what = format!("{}: no recording (asciicast, version 2)", path.display());
        return Err(exit::because(Why::Other, what));
    }
    if player.nonsense > 0 {
        complain(&path, &format!("{} lines are no events", player.nonsense));
    }
    Ok(())
}

/// The recording of a console, or of a domain that has ended.
fn recording(daemon: &Daemon, name: &str, options: &Playing) -> anyhow::Result<PathBuf> {
    let status = daemon.status();
    let rows = status.as_ref().map_or(&[][..], |status| &status.consoles);
    let chosen = choose::named(rows, name);
    let row = chosen.as_ref().ok().and_then(|choice| {
        let mut rows = rows.iter();
        rows.find(|row| row.domid == choice.domid && row.console == choice.console)
    });
    let known = row
        .map(|row| row.recording.as_str())
        .filter(|path| !path.is_empty());
    let path = known.map(PathBuf::from);
    let path = path.or_else(|| left_behind(rows, name, options.dir.as_deref(), "cast"));
    if let Some(path) = path {
        return Ok(path);
    }
    let choice = chosen.or_else(|why| status.and(Err(why)))?;
    let what = format!("{choice}: there is no recording that you may read");
    Err(exit::because(Why::Missing, what))
}

struct Player {
    printer: Printer,
    pace: Pace,
    /// When the last event was due.
    due: Instant,
    /// A recording was among the files.
    known: bool,
    nonsense: u64,
}

impl Player {
    /// Plays a file; `false` when told to stop.
    fn part(&mut self, part: Part, path: &Path) -> anyhow::Result<bool> {
        let mut place = Place::default();
        place.enter(part);
        let (mut cast, mut buffer) = (Cast::default(), [0; 16384]);
        loop {
            let lines = match place.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => cast.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if place.is_in_archive() => {
                    complain(path, &format!("an old file is damaged: {error}"));
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            for line in lines {
                if !self.line(line)? {
                    return Ok(false);
                }
            }
        }
        self.known |= cast.is_known();
        cast.finish().map_or(Ok(true), |line| self.line(line))
    }

    /// Shows a line's output when it is due; `false` when told to stop.
    fn line(&mut self, line: Line) -> anyhow::Result<bool> {
        let (time, text) = match line {
            Line::Output(time, text) => (time, text),
            Line::Other => return Ok(true),
            Line::Nonsense => {
                self.nonsense += 1;
                return Ok(true);
            }
        };
        self.due += self.pace.delay(time);
        loop {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if self.printer.wait(None, Some(left))? {
                return Ok(false);
            }
        }
        self.printer.put(text.as_bytes());
        self.printer.drain()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if rustix::termios::isatty(stdout()) {
            self.printer.output.put(RESET);
        }
        self.printer.drain().map(drop)
    }
}
