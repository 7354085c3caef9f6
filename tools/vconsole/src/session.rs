// SPDX-License-Identifier: MIT
//! A client's life: waits for the pty, joins it to standard input and output,
//! and follows it when the daemon is restarted.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::stdio::stdin;
use rustix::termios::{self, OptionalActions};
use xen_io::xenstore::{Client, domain_path};

use crate::lock::Lock;
use crate::options::Session as Options;
use crate::output::Output;
use crate::signals::Signals;
use crate::target::Target;
use crate::terminal::Raw;

/// How long the pty may take to appear.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tokens of the watches on the pty's name and on domains that end.
const TTY: &str = "tty";
const RELEASE: &str = "release";

/// Why the session ended.
pub(crate) enum End {
    /// The user left, or was sent away.
    Left,
    /// The domain is gone.
    Gone,
}

/// How the console is shown, where `xenconsole` leaves no choice.
#[derive(Clone, Copy, Default)]
pub(crate) struct Manner {
    /// What is typed does not reach the guest.
    pub(crate) read_only: bool,
    /// Escape sequences are left out.
    pub(crate) filter: bool,
}

/// Runs a session until the user leaves or the domain ends.
pub(crate) fn run(
    mut store: Client,
    target: &Target,
    options: &Options,
    manner: Manner,
) -> anyhow::Result<()> {
    let _lock = Lock::take(target)?;
    let mut signals = Signals::catch()?;
    store.watch(&target.tty_path(), TTY)?;
    store.watch("@releaseDomain", RELEASE)?;
    let pty = wait_for_pty(&mut store, target, &mut signals)?;
    let introduced = store.is_introduced(target.domid)?;
    let raw = Raw::enter()?;
    if let Some(fd) = options.start_notify_fd {
        notify(fd).with_context(|| format!("telling descriptor {fd} of the start"))?;
    }
    let heed_escape = raw.is_some() || options.interactive;
    let mut session = Session {
        store,
        target,
        signals,
        escape: heed_escape.then_some(options.escape),
        terminal: raw.is_some(),
        pty: Some(pty),
        input: Input::Open,
        typed: Vec::new(),
        output: Output::new(manner.filter),
        read_only: manner.read_only,
        introduced,
    };
    let end = session.join();
    // What was on its way to the user still goes there.
    let _shown = session.output.flush();
    drop(raw);
    match end? {
        End::Left => {}
        End::Gone => eprintln!("{target}: the domain is gone"),
    }
    Ok(())
}

/// Standard input.
#[derive(PartialEq, Eq)]
enum Input {
    /// There may be more of it.
    Open,
    /// It has ended, and output goes on.
    Ended,
    /// The session ends when what was typed is passed on.
    Leaving,
}

struct Session<'a> {
    store: Client,
    target: &'a Target,
    signals: Signals,
    escape: Option<u8>,
    /// Standard input is a terminal.
    terminal: bool,
    pty: Option<File>,
    input: Input,
    /// Input that the pty has not taken yet.
    typed: Vec<u8>,
    output: Output,
    read_only: bool,
    /// Xenstore has known the domain, which it does not while a boot loader
    /// prepares it.
    introduced: bool,
}

impl Session<'_> {
    fn join(&mut self) -> anyhow::Result<End> {
        loop {
            let Ready {
                signal,
                store,
                output,
                pty_in,
                pty_out,
                input,
            } = self.wait()?;
            if signal && self.signals.heed()? {
                return Ok(End::Left);
            }
            if output {
                self.output.flush().context("standard output")?;
            }
            // Output first: what came before the daemon went is still there.
            if pty_in {
                self.show()?;
            }
            if pty_out {
                self.pass_on();
            }
            if input {
                self.read_input()?;
            }
            if self.input == Input::Leaving && (self.typed.is_empty() || self.pty.is_none()) {
                return Ok(End::Left);
            }
            if store && !self.follow()? {
                return Ok(End::Gone);
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut fds = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.store, PollFlags::IN),
        ];
        // Without a pty only the user at a terminal is heard, who may want to
        // leave; a pipe's bytes stay in the pipe.
        let input = self.input == Input::Open
            && self.typed.is_empty()
            && (self.pty.is_some() || self.terminal);
        let stdin = stdin();
        let place = |fds: &mut Vec<PollFd<'_>>| fds.len() - 1;
        let (mut at_input, mut at_output, mut at_pty) = (None, None, None);
        if input {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            at_input = Some(place(&mut fds));
        }
        if !self.output.is_empty() {
            fds.push(PollFd::new(&self.output, PollFlags::OUT));
            at_output = Some(place(&mut fds));
        }
        if let Some(pty) = &self.pty {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, self.output.has_room());
            wanted.set(PollFlags::OUT, !self.typed.is_empty());
            // A hang-up is told even to those who do not ask.
            if !wanted.is_empty() {
                fds.push(PollFd::new(pty, wanted));
                at_pty = Some(place(&mut fds));
            }
        }
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let happened = |at: Option<usize>| at.map_or(PollFlags::empty(), |at| fds[at].revents());
        let pty = happened(at_pty);
        Ok(Ready {
            signal: !fds[0].revents().is_empty(),
            store: !fds[1].revents().is_empty(),
            output: !happened(at_output).is_empty(),
            pty_in: self.output.has_room()
                && pty.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            pty_out: pty.contains(PollFlags::OUT),
            input: !happened(at_input).is_empty(),
        })
    }

    /// Output from the pty to standard output.
    fn show(&mut self) -> anyhow::Result<()> {
        let Some(pty) = &mut self.pty else {
            return Ok(());
        };
        let mut buffer = [0; 4096];
        match pty.read(&mut buffer) {
            Ok(0) => self.lost(),
            Ok(length) => {
                self.output.put(&buffer[..length]);
                // At once, where it can be.
                self.output.flush().context("standard output")?;
            }
            Err(error) if is_transient(&error) => {}
            Err(_) => self.lost(),
        }
        Ok(())
    }

    /// Input that waits, to the pty.
    fn pass_on(&mut self) {
        let Some(pty) = &mut self.pty else { return };
        match pty.write(&self.typed) {
            Ok(length) => drop(self.typed.drain(..length)),
            Err(error) if is_transient(&error) => {}
            Err(_) => self.lost(),
        }
    }

    fn read_input(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 1024];
        let length = match rustix::io::read(stdin(), &mut buffer) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(()),
            // A terminal that hung up.
            Err(Errno::IO) => 0,
            Err(errno) => return Err(errno).context("standard input"),
        };
        if length == 0 {
            // Output goes on after a pipe's end; a terminal's end is ours.
            self.input = if self.terminal {
                Input::Leaving
            } else {
                Input::Ended
            };
            return Ok(());
        }
        let bytes = &buffer[..length];
        let end = self
            .escape
            .and_then(|escape| bytes.iter().position(|byte| *byte == escape));
        if end.is_some() {
            self.input = Input::Leaving;
        }
        if self.pty.is_some() && !self.read_only {
            self.typed
                .extend_from_slice(&bytes[..end.unwrap_or(length)]);
            self.pass_on();
        }
        Ok(())
    }

    /// The daemon has closed the pty.
    fn lost(&mut self) {
        self.pty = None;
        self.typed.clear();
        self.remark("gone; waiting for it to come back");
    }

    /// Xenstore has something to say; `false` when the domain is gone. A pty
    /// is opened only when its name was just told: the name of one that has
    /// closed may be somebody else's by now.
    fn follow(&mut self) -> anyhow::Result<bool> {
        while let Some(event) = self.store.next_event()? {
            if !self.domain_lives()? {
                return Ok(false);
            }
            if event.token != TTY {
                continue;
            }
            match open_pty(&mut self.store, self.target) {
                // Even one of the same name is another when its daemon is.
                Ok(Some(pty)) => {
                    if self.pty.replace(pty).is_none() {
                        self.remark("back");
                    }
                }
                Ok(None) => {}
                Err(error) => self.remark(&format!("not to be had: {error:#}")),
            }
        }
        Ok(true)
    }

    /// Whether the domain is there. One that ended by itself may leave its
    /// nodes behind for somebody to look at.
    fn domain_lives(&mut self) -> io::Result<bool> {
        let domid = self.target.domid;
        let known = self.store.is_introduced(domid)?;
        let ended = self.introduced && !known;
        self.introduced |= known;
        Ok(!ended && self.store.read(&domain_path(domid))?.is_some())
    }

    fn remark(&self, what: &str) {
        let end = if self.terminal { "\r\n" } else { "\n" };
        eprint!("{end}[{}: {what}]{end}", self.target);
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each thing that can be ready"
)]
struct Ready {
    signal: bool,
    store: bool,
    output: bool,
    pty_in: bool,
    pty_out: bool,
    input: bool,
}

fn wait_for_pty(
    store: &mut Client,
    target: &Target,
    signals: &mut Signals,
) -> anyhow::Result<File> {
    let deadline = Instant::now() + PATIENCE;
    let mut why = None;
    loop {
        while store.next_event()?.is_some() {
            match open_pty(store, target) {
                Ok(Some(pty)) => return Ok(pty),
                Ok(None) => {}
                Err(error) => why = Some(error),
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [
            PollFd::new(&*store, PollFlags::IN),
            PollFd::new(&*signals, PollFlags::IN),
        ];
        match rustix::event::poll(&mut fds, Some(&Timespec::try_from(left)?)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !fds[1].revents().is_empty() && signals.heed()? {
            bail!("interrupted");
        }
    }
    match why {
        Some(error) => Err(error),
        None if store.read(&domain_path(target.domid))?.is_none() => {
            bail!("there is no domain {}", target.domid)
        }
        None => bail!(
            "{target}: no daemon serves it (nothing at {})",
            target.tty_path()
        ),
    }
}

/// Opens the pty that xenstore names; `None` while it names none.
fn open_pty(store: &mut Client, target: &Target) -> anyhow::Result<Option<File>> {
    let Some(name) = store
        .read(&target.tty_path())?
        .filter(|name| !name.is_empty())
    else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    // Not everyone who may write the node may choose a file for root to open.
    let number = name.strip_prefix("/dev/pts/").unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("{} names {name:?}, which is no pty", target.tty_path());
    }
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let pty = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(&name)
        .with_context(|| name.clone())?;
    let mut modes = termios::tcgetattr(&pty).with_context(|| name.clone())?;
    modes.make_raw();
    termios::tcsetattr(&pty, OptionalActions::Now, &modes).with_context(|| name)?;
    Ok(Some(pty))
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Tells whoever started us that the console is open. The descriptor is
/// inherited and not ours to close: its name under /proc opens it once more.
pub(crate) fn notify(fd: u32) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{fd}"))?
        .write_all(&[0])
}
