// SPDX-License-Identifier: MIT
//! Attaching to a console: connects standard input and output to it until the user
//! leaves, the output is closed, or the domain ends. The program handles keys even
//! if the guest takes no input or the output is not read.

mod keys;
mod lock;
pub(crate) mod pty;
pub(crate) mod socket;
pub(crate) mod target;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::unistd::{getpgrp, getsid};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::stdio::stdin;

use crate::exit::{self, Why};
use crate::options;
use crate::terminal::Raw;
use crate::terminal::display::Display;
use crate::terminal::signals::Signals;
use keys::{Key, Keys};

/// Most input that waits for the guest. Beyond it, a pipe is not read. A terminal
/// is read, because the key that leaves may come; other input is dropped.
const TYPED_MAX: usize = 16 * 1024 * 1024;
/// The same for a pipe, if no key has a meaning.
const PIPED_MAX: usize = 4096;
/// How long the guest may take for input that was typed before the user left.
const LINGER: Duration = Duration::from_millis(500);

/// A session's connection to a console.
trait Link {
    /// Descriptors to poll. `room` is whether output can be taken.
    fn interests(&self, room: bool) -> Vec<PollFd<'_>>;

    /// The poll's timeout.
    fn pause(&self) -> Option<Duration> {
        None
    }

    /// Handles the poll's events; `false` when the domain is gone.
    fn serve(&mut self, happened: &[PollFlags], display: &mut Display) -> anyhow::Result<bool>;

    /// Whether the console is connected.
    fn is_open(&self) -> bool;

    /// Whether input reaches the guest.
    fn is_heard(&self) -> bool;

    /// Takes input, and sends as much as possible.
    fn input(&mut self, bytes: &[u8], display: &mut Display);

    /// How many bytes of input wait, with their framing.
    fn waiting(&self) -> usize;

    /// Runs a command of the menu.
    fn command(&mut self, _command: Command, _display: &mut Display) {}
}

/// Commands of the menu that not all consoles support.
#[derive(Clone, Copy)]
enum Command {
    /// Send a break.
    Break,
    /// Switch between read only and read and write.
    ReadOnly,
}

/// Why the session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The user left, or a signal ended the program.
    Left,
    /// The domain is gone.
    Gone,
}

impl End {
    /// The result of `vconsole attach`.
    pub(crate) fn into_result(self) -> anyhow::Result<()> {
        match self {
            Self::Left => Ok(()),
            // The user has seen the message.
            Self::Gone => Err(exit::because(Why::Gone, "")),
        }
    }
}

/// How a console is shown.
struct Manner<'a> {
    session: &'a options::Session,
    /// The menu key, if there is a menu.
    menu: Option<u8>,
    /// The user may suspend the client if a shell started it.
    suspends: bool,
    /// Escape sequences are left out.
    filter: bool,
    /// How many bytes of the output are history.
    history: u64,
    /// The first line, for a user at a terminal.
    greeting: Option<String>,
    /// The operator's banner, for the same.
    banner: Vec<String>,
}

/// Runs until the user leaves or the domain ends. `name` is the domain's.
fn run(link: impl Link, name: &str, manner: &Manner) -> anyhow::Result<End> {
    let signals = Signals::catch()?;
    let raw = Raw::enter()?;
    if let Some(fd) = manner.session.start_notify_fd {
        notify(fd).with_context(|| format!("telling descriptor {fd} of the start"))?;
    }
    let keys = if raw.is_some() || manner.session.interactive {
        Keys::new(
            Some(manner.session.escape),
            manner.menu,
            manner.suspends && is_a_job(),
        )
    } else {
        Keys::default()
    };
    let mut display = Display::new(name.to_owned(), raw.is_some(), manner.filter);
    display.expect_history(manner.history);
    if let Some(greeting) = manner.greeting.as_ref().filter(|_| raw.is_some()) {
        let hint = keys.hint().map(|hint| format!("; {hint}"));
        display.greet(&format!("{greeting}{}", hint.unwrap_or_default()));
        for line in &manner.banner {
            display.greet(line);
        }
    }
    let mut session = Session {
        link,
        signals,
        keys,
        terminal: raw.is_some(),
        input: Input::Open,
        dropped: false,
        display,
    };
    let end = session.join();
    drop(raw);
    session.signals.release();
    let end = end?;
    match end {
        End::Left if session.link.waiting() > 0 => {
            say(&format!(
                "{name}: the guest did not take all that was typed"
            ));
        }
        End::Left => {}
        End::Gone => say(&format!("{name}: the domain is gone")),
    }
    Ok(end)
}

/// Prints a line to standard error, unless it is closed.
fn say(line: &str) {
    let _gone = writeln!(io::stderr(), "{line}");
}

/// Standard input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Open: more may come.
    Open,
    /// Ended; output continues.
    Ended,
    /// The user has left; the guest may take the remaining input until this time.
    Leaving(Instant),
}

struct Session<L> {
    link: L,
    signals: Signals,
    keys: Keys,
    /// Standard input is a terminal.
    terminal: bool,
    input: Input,
    /// Input was dropped because there was no room.
    dropped: bool,
    display: Display,
}

impl<L: Link> Session<L> {
    fn join(&mut self) -> anyhow::Result<End> {
        let mut gone = false;
        loop {
            let ready = self.wait(gone)?;
            if ready.signal && self.signals.handle()? {
                return Ok(End::Left);
            }
            // The end of standard output ends the session, and a program that has closed
            // both may have typed something before. Else what the daemon sent is first: it
            // may change whether input is passed on.
            let ended = ready.output.intersects(PollFlags::HUP | PollFlags::ERR);
            if ready.input && ended {
                self.read_input()?;
            }
            self.display
                .serve(ready.output)
                .context("standard output")?;
            // Output first: it may have come before the daemon ended.
            if !gone && !self.link.serve(&ready.link, &mut self.display)? {
                gone = true;
            }
            if ready.input && !ended {
                self.read_input()?;
            }
            self.display.flush().context("standard output")?;
            if let Input::Leaving(until) = self.input {
                let done = gone || self.link.waiting() == 0 || !self.link.is_open();
                if done || Instant::now() >= until {
                    return Ok(End::Left);
                }
            }
            // The last output is shown if it still has a reader.
            if gone && self.display.is_empty() {
                return Ok(End::Gone);
            }
        }
    }

    fn wait(&self, gone: bool) -> io::Result<Ready> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let input = self.wants_input(gone).then(|| {
            fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
            fds.len() - 1
        });
        let output = fds.len();
        fds.extend(self.display.interests());
        let link = fds.len();
        if !gone {
            fds.extend(self.link.interests(self.display.has_room()));
        }
        let pause = match self.input {
            Input::Leaving(until) => Some(until.saturating_duration_since(Instant::now())),
            _ if gone => None,
            _ => self.link.pause(),
        };
        // A full millisecond: poll may round down and come back early.
        let pause = pause.map(|pause| Timespec::try_from(pause + Duration::from_millis(1)));
        let pause = pause.transpose().map_err(|_| io::ErrorKind::InvalidInput)?;
        match rustix::event::poll(&mut fds, pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let happened = |fd: &PollFd<'_>| fd.revents();
        Ok(Ready {
            signal: !fds[0].revents().is_empty(),
            input: input.is_some_and(|at| !fds[at].revents().is_empty()),
            output: fds[output].revents(),
            link: fds[link..].iter().map(happened).collect(),
        })
    }

    /// Whether to read standard input. A terminal is always read; a pipe is not
    /// while its bytes cannot be passed on.
    fn wants_input(&self, gone: bool) -> bool {
        let most = if self.keys.any() {
            TYPED_MAX
        } else {
            PIPED_MAX
        };
        let taken = self.link.is_open() && self.link.waiting() < most;
        self.input == Input::Open && (self.terminal || taken && !gone)
    }

    fn read_input(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 4096];
        let length = match rustix::io::read(stdin(), &mut buffer) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            // A terminal that hung up.
            Err(Errno::IO) => 0,
            Err(errno) => return Err(errno).context("standard input"),
        };
        if length == 0 {
            // After a pipe's end, output continues; a terminal's end ends the
            // session.
            self.input = if self.terminal {
                Input::leaving()
            } else {
                Input::Ended
            };
        }
        for key in self.keys.press(&buffer[..length]) {
            match key {
                Key::Type(bytes) => self.typed(&bytes),
                Key::Leave => self.input = Input::leaving(),
                Key::Help => {
                    let blank = std::iter::once(String::new());
                    let lines: Vec<_> = blank.chain(self.keys.help()).collect();
                    self.display.explain(&lines);
                }
                Key::Break => self.link.command(Command::Break, &mut self.display),
                Key::ReadOnly => self.link.command(Command::ReadOnly, &mut self.display),
                // As the terminal's own key does, which here is input for the
                // guest.
                Key::Suspend => {
                    rustix::process::kill_current_process_group(Signal::TSTP)?;
                }
                Key::Unknown(byte) => {
                    let key = keys::name(byte);
                    let what = format!("{key} has no function here; ? shows help");
                    self.display.remark(&what);
                }
            }
        }
        Ok(())
    }

    fn typed(&mut self, bytes: &[u8]) {
        // Input that cannot be taken is dropped; the user types it again.
        if !self.link.is_open() || !self.link.is_heard() {
            return;
        }
        if self.link.waiting() < TYPED_MAX {
            self.link.input(bytes, &mut self.display);
            return;
        }
        if !std::mem::replace(&mut self.dropped, true) {
            let most = TYPED_MAX >> 20;
            self.display.remark(&format!(
                "{most} MiB wait for the guest; the rest is dropped"
            ));
        }
    }
}

impl Input {
    fn leaving() -> Self {
        Self::Leaving(Instant::now() + LINGER)
    }
}

/// The events to handle.
struct Ready {
    signal: bool,
    input: bool,
    output: PollFlags,
    link: Vec<PollFlags>,
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Whether a shell would continue this program if it were suspended. Shells give
/// each job a process group; xterm, screen and sshd start a session for their
/// child. Either id is 0 if it is from outside this program's PID namespace
/// (`pid_namespaces(7)`), which rustix's ids cannot represent.
fn is_a_job() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// Notifies the parent process that the console is open. The descriptor is
/// inherited and must not be closed here: it is opened again by its name under
/// /proc.
fn notify(fd: u32) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))?
        .write_all(&[0])
}
