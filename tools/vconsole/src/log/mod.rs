// SPDX-License-Identifier: MIT
//! `vconsole log`: a console's output from its log file, across rotation; without a
//! log, from the daemon's history.

mod archive;
mod cast;
mod files;
pub(crate) mod replay;
mod select;

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use console_proto::frame::{Decoder, Frame};
use console_proto::{Attach, Attached, Domain, Mode};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::stdio::stdout;
use text_filter::{Filter, Policy};

use crate::choose::{self, Choice};
use crate::daemon::{Daemon, Row};
use crate::exit::{self, Why};
use crate::options::Printing;
use crate::terminal::output::Output;
use crate::terminal::signals::Signals;
use files::Place;
use select::{Select, Wanted};

/// How often a followed log is read.
const PERIOD: Duration = Duration::from_millis(100);
/// The folder of logs if the daemon does not report one.
const FOLDER: &str = "/var/log/xen/console";

/// Prints a log, and follows it if requested, until its end or a signal.
pub(crate) fn print(daemon: &Daemon, name: Option<&str>, options: &Printing) -> anyhow::Result<()> {
    let status = daemon.status();
    let rows = status.as_ref().map_or(&[][..], |status| &status.consoles);
    let chosen = match name {
        Some(name) => choose::named(rows, name),
        None => choose::any(rows, false),
    };
    let choice = match chosen {
        Ok(choice) => choice,
        // The log of a domain that has ended, or that no daemon serves now.
        Err(why) => {
            let Some(log) =
                name.and_then(|name| left_behind(rows, name, options.dir.as_deref(), "log"))
            else {
                status?;
                return Err(why);
            };
            return file(&log, options);
        }
    };
    let log = rows
        .iter()
        .find(|row| row.domid == choice.domid && row.console == choice.console)
        .map(|row| row.log.as_str())
        .filter(|log| !log.is_empty());
    match log {
        Some(log) => file(Path::new(log), options),
        None => memory(daemon, &choice, options),
    }
}

/// The log, or the file with another extension, of a console of that name that is
/// not served now.
fn left_behind(rows: &[Row], name: &str, dir: Option<&Path>, ending: &str) -> Option<PathBuf> {
    let mut known = rows.iter().flat_map(|row| [&row.log, &row.recording]);
    let known = known.find(|path| !path.is_empty());
    let known = known.and_then(|path| Path::new(path).parent());
    let folder = dir.or(known).unwrap_or(Path::new(FOLDER));
    let (domain, console) = name.rsplit_once('/').unwrap_or((name, choose::DEFAULT));
    let digits = console.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
    let number = if digits.is_empty() { "0" } else { "" };
    let file = match format!("{console}{number}").as_str() {
        choose::DEFAULT => format!("guest-{domain}.{ending}"),
        console => format!("guest-{domain}-{console}.{ending}"),
    };
    let log = folder.join(&file);
    (!file.contains('/') && files::list(&log).is_ok_and(|parts| !parts.is_empty())).then_some(log)
}

/// Prints a log file.
fn file(log: &Path, options: &Printing) -> anyhow::Result<()> {
    let boot = match options.boot {
        None => None,
        Some(number) => {
            let count = count_boots(log)?;
            let boot = select::boot(number, count);
            Some(boot.ok_or_else(|| {
                let what = format!("{}: {count} boots are in the log", log.display());
                exit::because(Why::Missing, what)
            })?)
        }
    };
    let wanted = Wanted {
        since: options.since,
        until: options.until,
        grep: options.grep.clone(),
        boot,
    };
    let times = wanted.needs_times();
    let mut printer = Printer::new(options.filter, wanted)?;
    printer.file(log, options.follow)?;
    if times && !printer.select.is_some_and(|select| select.has_times()) {
        let what = format!("{}: no line has a time (`timestamps`)", log.display());
        return Err(exit::because(Why::Missing, what));
    }
    Ok(())
}

fn count_boots(log: &Path) -> anyhow::Result<u64> {
    let mut select = Select::new(Wanted::default());
    let mut buffer = [0; 16384];
    for part in files::list(log).with_context(|| log.display().to_string())? {
        let mut place = Place::default();
        place.enter(part);
        // Damage is reported when the log is printed.
        while let Ok(length @ 1..) = place.read(&mut buffer) {
            select.push(&buffer[..length], |_| ());
        }
    }
    select.finish(|_| ());
    Ok(select.boots())
}

struct Printer {
    /// Set if not every byte is wanted.
    select: Option<Select>,
    output: Output,
    filter: Option<Filter>,
    signals: Signals,
}

impl Printer {
    /// A terminal never receives queries: nothing would read its answers.
    fn new(filter: bool, wanted: Wanted) -> anyhow::Result<Self> {
        let replay = rustix::termios::isatty(stdout()).then_some(Policy::Replay);
        let policy = if filter {
            Some(Policy::Terminal)
        } else {
            replay
        };
        Ok(Self {
            select: (!wanted.is_everything()).then(|| Select::new(wanted)),
            output: Output::stdout(),
            filter: policy.map(Filter::new),
            signals: Signals::catch()?,
        })
    }

    fn put(&mut self, bytes: &[u8]) {
        let (filter, output) = (&mut self.filter, &mut self.output);
        match &mut self.select {
            Some(select) => select.push(bytes, |bytes| show(filter, output, bytes)),
            None => show(filter, output, bytes),
        }
    }

    /// The end of the log.
    fn finish(&mut self) -> anyhow::Result<()> {
        let (filter, output) = (&mut self.filter, &mut self.output);
        if let Some(select) = &mut self.select {
            select.finish(|bytes| show(filter, output, bytes));
        }
        self.drain().map(drop)
    }

    /// Prints a log and its rotated files, oldest first.
    fn file(&mut self, path: &Path, follow: bool) -> anyhow::Result<()> {
        let mut place = Place::default();
        loop {
            // The folder is listed before the rest is read: later output is in the
            // next file, or in the next round.
            let newer = place
                .newer(path)
                .with_context(|| path.display().to_string())?;
            if newer.is_empty() && !place.is_in_file() && !follow {
                let what = format!("{}: there is no such log", path.display());
                return Err(exit::because(Why::Missing, what));
            }
            if place.rewind()? && follow {
                complain(path, "emptied");
            }
            if !self.rest(&mut place, path)? {
                return Ok(());
            }
            for part in newer {
                place.enter(part);
                if !self.rest(&mut place, path)? {
                    return Ok(());
                }
            }
            if !follow {
                return self.finish();
            }
            if self.wait(None, Some(PERIOD))? {
                return Ok(());
            }
        }
    }

    /// Prints the rest of a file; `false` when told to stop.
    fn rest(&mut self, place: &mut Place, path: &Path) -> anyhow::Result<bool> {
        let mut buffer = [0; 16384];
        loop {
            match place.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(length) => self.put(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if place.is_in_archive() => {
                    complain(path, &format!("an old file is damaged: {error}"));
                }
                Err(error) => return Err(error.into()),
            }
            if !self.drain()? {
                return Ok(false);
            }
        }
    }

    /// Prints a stream from the daemon, as far as `end` if it is not followed.
    fn stream(
        &mut self,
        mut stream: UnixStream,
        attached: &Attached,
        follow: bool,
    ) -> anyhow::Result<()> {
        let mut position = attached.position;
        let mut decoder = Decoder::default();
        while follow || position < attached.end {
            if self.wait(Some(&stream), None)? {
                break;
            }
            let mut buffer = [0; 16384];
            let length = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) =>
                {
                    continue;
                }
                Err(error) => return Err(error).context("the daemon's stream"),
            };
            let frames = decoder.push(&buffer[..length]);
            for frame in frames.map_err(|what| anyhow::anyhow!("the daemon sent {what}"))? {
                match frame {
                    Frame::Data(bytes) => {
                        position += bytes.len() as u64;
                        self.put(&bytes);
                    }
                    Frame::Lost(count) => {
                        position += count;
                        self.put(format!("\r\n[{count} bytes lost]\r\n").as_bytes());
                    }
                    Frame::Ended(_) => return self.finish(),
                    Frame::Mode(_) | Frame::Notice(_) => {}
                }
            }
            if !self.drain()? {
                return Ok(());
            }
        }
        self.finish()
    }

    /// Writes what waits; `false` when told to stop.
    fn drain(&mut self) -> anyhow::Result<bool> {
        loop {
            self.output.flush().context("standard output")?;
            if self.output.is_empty() {
                return Ok(true);
            }
            if self.wait(None, None)? {
                return Ok(false);
            }
        }
    }

    /// Waits for the stream, for room on standard output if there is too little, or
    /// for the time limit; `true` when told to stop. A closed reader is an error.
    fn wait(
        &mut self,
        stream: Option<&UnixStream>,
        limit: Option<Duration>,
    ) -> anyhow::Result<bool> {
        let signals = PollFd::new(&self.signals, PollFlags::IN);
        let mut fds = vec![signals, self.output.interest()];
        if let Some(stream) = stream {
            fds.push(PollFd::new(stream, PollFlags::IN));
        }
        let limit = limit.map(Timespec::try_from).transpose();
        match rustix::event::poll(&mut fds, limit?.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let (signals, output) = (fds[0].revents(), fds[1].revents());
        self.output.serve(output).context("standard output")?;
        Ok(!signals.is_empty() && self.signals.handle()?)
    }
}

fn show(filter: &mut Option<Filter>, output: &mut Output, bytes: &[u8]) {
    match filter {
        Some(filter) => filter.push(bytes, output.waiting()),
        None => output.put(bytes),
    }
}

/// Reports damage or truncation of a log.
fn complain(path: &Path, what: &str) {
    let mut errors = Output::stderr();
    errors.put(format!("[{}: {what}]\n", path.display()).as_bytes());
    let _gone = errors.flush();
}

/// Prints the daemon's history.
fn memory(daemon: &Daemon, choice: &Choice, options: &Printing) -> anyhow::Result<()> {
    if options.since.or(options.until).is_some() || options.boot.is_some() {
        let what = format!("{choice}: without a log file, times and boots are not known");
        return Err(exit::because(Why::Missing, what));
    }
    let wanted = Wanted {
        grep: options.grep.clone(),
        ..Wanted::default()
    };
    let request = Attach {
        domain: Domain::Id(choice.domid),
        console: choice.console.clone(),
        mode: Mode::ReadOnly,
        scrollback: Some(u64::MAX),
        resume: None,
        origin: None,
        exclusive: None,
    };
    let (attached, stream) = daemon.attach(&request)?;
    Printer::new(options.filter, wanted)?.stream(stream, &attached, options.follow)
}
