// SPDX-License-Identifier: MIT
//! `vconsole send` and `vconsole expect`, for scripts: typing and waiting for
//! output, with an exit code for the result.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use console_proto::frame::{self, Decoder, Frame};
use console_proto::{Attach, Domain, Mode};
use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use text_filter::{Filter, Policy};

use crate::choose::{self, Choice};
use crate::daemon::Daemon;
use crate::exit::{self, Why};
use crate::options::{Expecting, Sending};

/// How much of the newest output is kept to be printed, and the longest match, in
/// bytes.
const KEPT: usize = 64 * 1024;
const MATCH_MAX: usize = 4096;

/// Types a text and waits until all of it is in the guest's ring.
pub(crate) fn send(daemon: &Daemon, console: &str, options: &Sending) -> anyhow::Result<()> {
    let mut text = options.text.join(" ").into_bytes();
    if options.text.is_empty() {
        io::stdin().lock().read_to_end(&mut text)?;
    }
    if options.enter {
        text.push(b'\r');
    }
    let deadline = deadline(options.timeout.timeout)?;
    let mut line = Line::open(daemon, console, Mode::ReadWrite, 0)?;
    line.type_in(&text);
    // The daemon answers this when it has passed on all earlier input.
    line.typed.extend(frame::mode(Mode::ReadWrite));
    loop {
        for frame in line.next(deadline, "the guest does not take what is typed")? {
            if let Frame::Mode(mode) = frame {
                return match mode {
                    Mode::ReadWrite => Ok(()),
                    Mode::ReadOnly => Err(line.not_heard()),
                };
            }
        }
    }
}

/// Waits until the output matches a pattern, and prints it up to the match.
pub(crate) fn expect(daemon: &Daemon, console: &str, options: &Expecting) -> anyhow::Result<()> {
    let deadline = deadline(options.timeout.timeout)?;
    let mode = match options.send {
        Some(_) => Mode::ReadWrite,
        None => Mode::ReadOnly,
    };
    let scrollback = options.scrollback.map_or(0, |scrollback| scrollback.0);
    let mut line = Line::open(daemon, console, mode, scrollback)?;
    if let Some(text) = &options.send {
        line.type_in(format!("{text}\r").as_bytes());
    }
    let mut seen = Seen::new(options.pattern.clone());
    loop {
        let late = format!("nothing matched {:?} in time", options.pattern.as_str());
        for frame in line.next(deadline, &late)? {
            match frame {
                Frame::Data(bytes) => {
                    if let Some(text) = seen.push(&bytes) {
                        io::stdout().lock().write_all(&text)?;
                        return Ok(());
                    }
                }
                Frame::Mode(Mode::ReadOnly) if mode == Mode::ReadWrite => {
                    return Err(line.not_heard());
                }
                _ => {}
            }
        }
    }
}

fn deadline(seconds: u64) -> anyhow::Result<Instant> {
    let deadline = Instant::now().checked_add(Duration::from_secs(seconds));
    deadline.context("the timeout is too long")
}

/// A guest's output, without escape sequences.
struct Seen {
    pattern: Regex,
    filter: Filter,
    text: Vec<u8>,
}

impl Seen {
    fn new(pattern: Regex) -> Self {
        Self {
            pattern,
            filter: Filter::new(Policy::Terminal),
            text: Vec::new(),
        }
    }

    /// Adds output; returns the text up to the end of the first match.
    fn push(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        for part in bytes.chunks(KEPT) {
            // Earlier text has been searched.
            let new = self.text.len().saturating_sub(MATCH_MAX);
            self.filter.push(part, &mut self.text);
            if let Some(found) = self.pattern.find_at(&self.text, new) {
                return Some(self.text[..found.end()].to_vec());
            }
            let beyond = self.text.len().saturating_sub(KEPT);
            self.text.drain(..beyond);
        }
        None
    }
}

/// A console attached without a terminal.
struct Line {
    choice: Choice,
    stream: UnixStream,
    decoder: Decoder,
    typed: Vec<u8>,
    /// Why the daemon ended the stream.
    over: Option<String>,
}

impl Line {
    fn open(daemon: &Daemon, name: &str, mode: Mode, scrollback: u64) -> anyhow::Result<Self> {
        let status = daemon.status()?;
        let choice = choose::among(&status, |rows| choose::named(rows, name))?;
        let wanted = Attach {
            domain: Domain::Id(choice.domid),
            console: choice.console.clone(),
            mode,
            scrollback: Some(scrollback),
            resume: None,
            origin: None,
            exclusive: None,
        };
        let (attached, stream) = daemon.attach(&wanted)?;
        let line = Self {
            choice,
            stream,
            decoder: Decoder::default(),
            typed: Vec::new(),
            over: None,
        };
        if attached.mode == mode {
            return Ok(line);
        }
        let row = status.consoles.iter();
        let mut row = row.filter(|row| row.domid == line.choice.domid);
        let may = row.any(|row| {
            row.console == line.choice.console && row.rights.iter().any(|right| right == "type")
        });
        if may {
            return Err(line.not_heard());
        }
        let what = format!("you may not type into {}", line.choice);
        Err(exit::because(Why::Denied, what))
    }

    fn not_heard(&self) -> anyhow::Error {
        exit::because(
            Why::Busy,
            format!("{}: somebody else types alone", self.choice),
        )
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.typed.extend(frame::data(bytes));
    }

    /// The next frames from the daemon; meanwhile input is sent.
    fn next(&mut self, deadline: Instant, late: &str) -> anyhow::Result<Vec<Frame>> {
        loop {
            if let Some(why) = &self.over {
                return Err(self.ended(why));
            }
            let mut interest = PollFlags::IN;
            interest.set(PollFlags::OUT, !self.typed.is_empty());
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left)?;
            let mut fds = [PollFd::new(&self.stream, interest)];
            match rustix::event::poll(&mut fds, Some(&left)) {
                Ok(0) => return Err(exit::because(Why::Late, format!("{}: {late}", self.choice))),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if !self.typed.is_empty() {
                match self.stream.write(&self.typed) {
                    Ok(length) => drop(self.typed.drain(..length)),
                    Err(error) if is_transient(&error) => {}
                    // What the daemon sent before it ended is still to be read.
                    Err(_) => self.typed.clear(),
                }
            }
            let mut buffer = [0; 16384];
            let length = match self.stream.read(&mut buffer) {
                Err(error) if is_transient(&error) => continue,
                Ok(0) | Err(_) => return Err(self.ended("the daemon has ended")),
                Ok(length) => length,
            };
            let frames = self.decoder.push(&buffer[..length]);
            let frames = frames.map_err(|what| anyhow::anyhow!("the daemon sent {what}"))?;
            let (ended, frames): (Vec<_>, Vec<_>) = frames
                .into_iter()
                .partition(|frame| matches!(frame, Frame::Ended(_)));
            if let Some(Frame::Ended(why)) = ended.into_iter().next() {
                self.over = Some(why);
            }
            if !frames.is_empty() {
                return Ok(frames);
            }
        }
    }

    fn ended(&self, why: &str) -> anyhow::Error {
        let (code, text) = match why {
            "domain" | "console" => (Why::Gone, "the domain is gone"),
            "denied" => (Why::Denied, "you may not watch it any more"),
            "idle" => (Why::Idle, "nothing was typed for too long"),
            _ => (Why::Silent, "the daemon has ended"),
        };
        exit::because(code, format!("{}: {text}", self.choice))
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::values::pattern;
    use proptest::prelude::*;

    #[test]
    fn a_match_ends_what_is_printed_and_sequences_do_not_hide_it() {
        let mut seen = Seen::new(pattern("^login: ").unwrap());
        assert_eq!(seen.push(b"last login: x\r\nlog"), None);
        let printed = seen.push(b"\x1b[1min: \x1b[0mmore").unwrap();
        assert_eq!(printed, b"last login: x\r\nlogin: ");
    }

    proptest! {
        /// A text is found and memory is bounded, however output is divided, and
        /// however much came before.
        #[test]
        fn a_text_is_found_however_it_is_cut(before in 0..150_000usize, cut in 1..2000usize, at_once in any::<bool>()) {
            let mut seen = Seen::new(pattern("needle").unwrap());
            let mut all = vec![b'.'; before];
            all.extend_from_slice(b"needle");
            let mut found = None;
            for part in all.chunks(if at_once { all.len() } else { cut.max(before / 500 + 1) }) {
                found = seen.push(part);
                prop_assert!(seen.text.len() <= 2 * KEPT);
            }
            prop_assert!(found.unwrap().ends_with(b"needle"));
        }
    }
}
