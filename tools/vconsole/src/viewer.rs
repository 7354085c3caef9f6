// SPDX-License-Identifier: MIT
//! Being attached to a console through the daemon's socket, which lets several
//! do so at once: joins the stream to standard input and output, and takes it
//! up where it stood when the daemon comes back.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use console_proto::frame::{self, Decoder, Frame};
use console_proto::{Attach, Attached, Domain, Mode, Resume};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::stdio::stdin;

use crate::choose::Choice;
use crate::daemon::{Daemon, Refusal};
use crate::keys::{self, Key, Keys};
use crate::options::Viewing;
use crate::output::Output;
use crate::session::{End, notify};
use crate::signals::Signals;
use crate::terminal::Raw;

/// How long the console may take to be there at first.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before asking again, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LAST: Duration = Duration::from_millis(320);
/// What was typed and not taken, at most, before no more is read.
const TYPED_MAX: usize = 4096;

/// Runs until the user leaves or the domain ends.
pub(crate) fn run(daemon: Daemon, choice: &Choice, options: &Viewing) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    let mut wanted = Attach {
        domain: Domain::Id(choice.domid),
        console: choice.console.clone(),
        mode: if options.read_only {
            Mode::ReadOnly
        } else {
            Mode::ReadWrite
        },
        scrollback: options.scrollback.map(|scrollback| scrollback.0),
        resume: None,
    };
    let (attached, stream) = first(&daemon, &wanted, &mut signals)?;
    wanted.resume = Some(Resume {
        stream: attached.stream.clone(),
        from: attached.position,
    });
    let raw = Raw::enter()?;
    if let Some(fd) = options.session.start_notify_fd {
        notify(fd).with_context(|| format!("telling descriptor {fd} of the start"))?;
    }
    let heed = raw.is_some() || options.session.interactive;
    let keys = if heed {
        Keys::new(Some(options.session.escape), options.menu_key.0)
    } else {
        Keys::default()
    };
    let mut viewer = Viewer {
        daemon,
        choice,
        wanted,
        signals,
        keys,
        terminal: raw.is_some(),
        stream: Some((stream, Decoder::default())),
        again: Instant::now(),
        pause: RETRY_FIRST,
        input: Input::Open,
        typed: Vec::new(),
        output: Output::new(options.filter),
    };
    if viewer.terminal {
        viewer.greet(&attached);
    }
    let end = viewer.join();
    // What was on its way to the user still goes there.
    let _shown = viewer.output.flush();
    drop(raw);
    match end? {
        End::Left => {}
        End::Gone => eprintln!("{choice}: the domain is gone"),
    }
    Ok(())
}

/// Attaches, which may take the daemon a while that is just starting.
fn first(
    daemon: &Daemon,
    wanted: &Attach,
    signals: &mut Signals,
) -> anyhow::Result<(Attached, UnixStream)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match daemon.attach(wanted) {
            Ok(attached) => return Ok(attached),
            Err(refusal @ (Refusal::NoDomain(_) | Refusal::Other(_))) => bail!("{refusal}"),
            Err(refusal) if Instant::now() > deadline => bail!("{refusal}"),
            Err(_) => {}
        }
        let mut fds = [PollFd::new(&*signals, PollFlags::IN)];
        let pause = Timespec::try_from(RETRY_FIRST)?;
        if rustix::event::poll(&mut fds, Some(&pause)).is_ok_and(|ready| ready > 0)
            && signals.heed()?
        {
            bail!("interrupted");
        }
    }
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

struct Viewer<'a> {
    daemon: Daemon,
    choice: &'a Choice,
    /// What to ask for when the connection breaks.
    wanted: Attach,
    signals: Signals,
    keys: Keys,
    /// Standard input is a terminal.
    terminal: bool,
    stream: Option<(UnixStream, Decoder)>,
    /// When to ask again, and how long to wait after that.
    again: Instant,
    pause: Duration,
    input: Input,
    /// Frames that the daemon has not taken yet.
    typed: Vec<u8>,
    output: Output,
}

/// What can be done now.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each thing that can be ready"
)]
struct Ready {
    signal: bool,
    input: bool,
    output: bool,
    stream_in: bool,
    stream_out: bool,
}

impl Viewer<'_> {
    fn join(&mut self) -> anyhow::Result<End> {
        loop {
            let ready = self.wait()?;
            if ready.signal && self.signals.heed()? {
                return Ok(End::Left);
            }
            if ready.output {
                self.output.flush().context("standard output")?;
            }
            if ready.stream_in {
                self.receive()?;
            }
            if ready.stream_out {
                self.pass_on();
            }
            if ready.input {
                self.read_input()?;
            }
            if self.input == Input::Leaving && (self.typed.is_empty() || self.stream.is_none()) {
                return Ok(End::Left);
            }
            if self.stream.is_none() && Instant::now() >= self.again && !self.come_back()? {
                return Ok(End::Gone);
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let (mut input, mut output, mut stream) = (None, None, None);
        // Without a stream only the user at a terminal is heard, who may want
        // to leave; a pipe's bytes stay in the pipe.
        if self.input == Input::Open
            && self.typed.len() < TYPED_MAX
            && (self.stream.is_some() || self.terminal)
        {
            input = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
        }
        if !self.output.is_empty() {
            output = Some(fds.len());
            fds.push(PollFd::new(&self.output, PollFlags::OUT));
        }
        if let Some((connection, _)) = &self.stream {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, self.output.has_room());
            wanted.set(PollFlags::OUT, !self.typed.is_empty());
            // A hang-up is told even to those who do not ask.
            if !wanted.is_empty() {
                stream = Some(fds.len());
                fds.push(PollFd::new(connection, wanted));
            }
        }
        let pause = self.stream.is_none().then(|| {
            let left = self.again.saturating_duration_since(Instant::now());
            // A full millisecond: poll may round down and come back early.
            left + Duration::from_millis(1)
        });
        let pause = pause.map(Timespec::try_from).transpose();
        let pause = pause.map_err(|_| io::ErrorKind::InvalidInput)?;
        match rustix::event::poll(&mut fds, pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let happened = |at: Option<usize>| at.map_or(PollFlags::empty(), |at| fds[at].revents());
        let ended = PollFlags::HUP | PollFlags::ERR;
        Ok(Ready {
            signal: !fds[0].revents().is_empty(),
            input: !happened(input).is_empty(),
            output: !happened(output).is_empty(),
            stream_in: self.output.has_room() && happened(stream).intersects(PollFlags::IN | ended),
            stream_out: happened(stream).intersects(PollFlags::OUT | ended),
        })
    }

    /// Takes what the daemon says.
    fn receive(&mut self) -> anyhow::Result<()> {
        let Some((stream, decoder)) = &mut self.stream else {
            return Ok(());
        };
        let mut buffer = [0; 16384];
        let frames = match stream.read(&mut buffer) {
            Ok(0) => {
                self.lost();
                return Ok(());
            }
            Ok(length) => decoder.push(&buffer[..length]),
            Err(error) if is_transient(&error) => return Ok(()),
            Err(_) => {
                self.lost();
                return Ok(());
            }
        };
        match frames {
            Ok(frames) => frames.into_iter().for_each(|frame| self.heed(frame)),
            Err(what) => bail!("the daemon sent {what}"),
        }
        // At once, where it can be: a byte should not wait for another round.
        self.output.flush().context("standard output")
    }

    fn heed(&mut self, frame: Frame) {
        match frame {
            Frame::Data(bytes) => {
                self.output.put(&bytes);
                self.advance(bytes.len() as u64);
            }
            Frame::Lost(count) => {
                self.remark(&format!("{count} bytes lost"));
                self.advance(count);
            }
            Frame::Mode(mode) => {
                if self.wanted.mode != mode {
                    self.wanted.mode = mode;
                    self.tell_mode();
                }
            }
            Frame::Ended(_) => self.lost(),
        }
    }

    fn advance(&mut self, count: u64) {
        if let Some(resume) = &mut self.wanted.resume {
            resume.from = resume.from.saturating_add(count);
        }
    }

    /// Gives the daemon what was typed.
    fn pass_on(&mut self) {
        let Some((stream, _)) = &mut self.stream else {
            return;
        };
        match stream.write(&self.typed) {
            Ok(length) => drop(self.typed.drain(..length)),
            Err(error) if is_transient(&error) => {}
            // What it said before it went is still to be read.
            Err(_) => self.typed.clear(),
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
        }
        for key in self.keys.press(&buffer[..length]) {
            match key {
                // What nobody can take, the user types again.
                Key::Type(bytes)
                    if self.stream.is_some() && self.wanted.mode == Mode::ReadWrite =>
                {
                    self.typed.extend(frame::data(&bytes));
                }
                Key::Type(_) => {}
                Key::Leave => self.input = Input::Leaving,
                Key::Help => {
                    let help = self.keys.help();
                    self.output.remark("\r\n");
                    for line in help {
                        self.output.remark(&format!("{line}\r\n"));
                    }
                }
                Key::Break => {
                    let word = self.send_break();
                    self.remark(&word);
                }
                // As the terminal's own key would, which is the guest's here.
                Key::Suspend => {
                    rustix::process::kill_current_process_group(Signal::TSTP)?;
                }
                Key::ReadOnly => {
                    self.wanted.mode = match self.wanted.mode {
                        Mode::ReadWrite => Mode::ReadOnly,
                        Mode::ReadOnly => Mode::ReadWrite,
                    };
                    self.typed.extend(frame::mode(self.wanted.mode));
                    self.tell_mode();
                }
                Key::Unknown(byte) => {
                    let key = keys::name(byte);
                    self.remark(&format!("{key} means nothing here; ? tells what does"));
                }
            }
        }
        self.pass_on();
        Ok(())
    }

    /// By a connection of its own: a break is wanted when the guest takes no
    /// input, and what was typed before would be in its way.
    fn send_break(&self) -> String {
        match self.daemon.send_break(self.choice) {
            Ok(()) => "break sent".to_owned(),
            Err(error) => format!("no break: {error:#}"),
        }
    }

    /// The connection has ended.
    fn lost(&mut self) {
        self.stream = None;
        self.typed.clear();
        self.pause = RETRY_FIRST;
        self.again = Instant::now();
        self.remark("gone; waiting for it to come back");
    }

    /// Asks to go on where the stream stopped; `false` when the domain is
    /// gone.
    fn come_back(&mut self) -> anyhow::Result<bool> {
        match self.daemon.attach(&self.wanted) {
            Ok((attached, stream)) => {
                self.stream = Some((stream, Decoder::default()));
                self.remark("back");
                let before = self.wanted.resume.take();
                if before.is_some_and(|before| {
                    (before.stream, before.from) != (attached.stream.clone(), attached.position)
                }) {
                    // Its history is another one: nobody knows how many.
                    self.remark("bytes may be missing here");
                }
                self.wanted.resume = Some(Resume {
                    stream: attached.stream,
                    from: attached.position,
                });
                return Ok(true);
            }
            Err(Refusal::NoDomain(_)) => return Ok(false),
            Err(Refusal::Silent(_) | Refusal::NoConsole(_)) => {}
            Err(Refusal::Other(why)) => bail!("{why}"),
        }
        self.again = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(RETRY_LAST);
        Ok(true)
    }

    fn greet(&mut self, attached: &Attached) {
        let choice = self.choice;
        let mut words = format!("{choice}");
        if attached.mode == Mode::ReadOnly {
            words.push_str(", read only");
        }
        if let Some(hint) = self.keys.hint() {
            words.push_str("; ");
            words.push_str(&hint);
        }
        eprint!("[{words}]\r\n");
    }

    fn tell_mode(&mut self) {
        if self.wanted.mode == Mode::ReadWrite {
            self.remark("read and write");
        } else {
            self.remark("read only");
        }
    }

    /// A word to the user: where the guest's output is shown, for one at a
    /// terminal; else apart from it.
    fn remark(&mut self, what: &str) {
        if self.terminal && rustix::termios::isatty(rustix::stdio::stdout()) {
            self.output.remark(&format!("\r\n[{what}]\r\n"));
        } else {
            eprintln!("[{}: {what}]", self.choice);
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
