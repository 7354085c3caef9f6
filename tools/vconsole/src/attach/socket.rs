// SPDX-License-Identifier: MIT
//! A console by the daemon's socket, which several users can share. After a restart
//! of the daemon the stream continues at the same byte.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;
use console_proto::frame::{self, Decoder, Frame};
use console_proto::{Attach, Attached, Domain, Exclusive, Mode, Resume, plain};
use rustix::event::{PollFd, PollFlags};

use super::{Command, End, Link, Manner, is_transient};
use crate::choose::Choice;
use crate::daemon::{Daemon, Refusal};
use crate::exit::{self, Why};
use crate::options::Viewing;
use crate::terminal::display::Display;

/// How long the console may take to appear at first.
const PATIENCE: Duration = Duration::from_secs(5);
/// The retry interval, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LAST: Duration = Duration::from_millis(320);

/// Runs until the user leaves or the domain ends.
pub(crate) fn run(daemon: Daemon, choice: &Choice, options: &Viewing) -> anyhow::Result<End> {
    let mut wanted = Attach {
        domain: Domain::Id(choice.domid),
        console: choice.console.clone(),
        mode: mode(!options.read_only),
        scrollback: options.scrollback.map(|scrollback| scrollback.0),
        resume: None,
        origin: options.login.as_ref().and_then(|login| login.0.clone()),
        exclusive: match (options.keyboard.exclusive, options.keyboard.force) {
            (_, true) => Some(Exclusive::Force),
            (true, false) => Some(Exclusive::IfFree),
            (false, false) => None,
        },
    };
    let (attached, stream) = first(&daemon, &wanted)?;
    wanted.resume = Some(place(&attached));
    // It may have fewer rights than requested.
    wanted.mode = attached.mode;
    // Only once: a reconnecting client does not take over the console.
    wanted.exclusive = wanted.exclusive.map(|_| Exclusive::IfFree);
    let alone = match wanted.exclusive {
        Some(_) => ", nobody else types",
        None => "",
    };
    let read_only = match attached.mode {
        Mode::ReadOnly => ", read only",
        Mode::ReadWrite => "",
    };
    let manner = Manner {
        session: &options.session,
        menu: options.menu_key.0,
        filter: options.filter,
        suspends: options.login.is_none(),
        history: attached.end.saturating_sub(attached.position),
        greeting: Some(format!("{choice}{read_only}{alone}")),
        banner: attached.banner.lines().map(plain).collect(),
    };
    let console = Console {
        daemon,
        choice,
        wanted,
        stream: Some((stream, Decoder::default())),
        typed: VecDeque::new(),
        again: None,
        pause: RETRY_FIRST,
        attaching: None,
        breaking: None,
        idle: false,
    };
    super::run(console, &choice.to_string(), &manner)
}

fn mode(write: bool) -> Mode {
    if write {
        Mode::ReadWrite
    } else {
        Mode::ReadOnly
    }
}

/// The position at which a connection begins.
fn place(attached: &Attached) -> Resume {
    Resume {
        stream: attached.stream.clone(),
        from: attached.position,
    }
}

/// Attaches; a daemon that is just starting may take a while.
fn first(daemon: &Daemon, wanted: &Attach) -> anyhow::Result<(Attached, UnixStream)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match daemon.attach(wanted) {
            Ok(attached) => return Ok(attached),
            Err(Refusal::Silent(_) | Refusal::NoConsole(_) | Refusal::NotKnown(_))
                if Instant::now() <= deadline =>
            {
                thread::sleep(RETRY_FIRST);
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
}

struct Console<'a> {
    daemon: Daemon,
    choice: &'a Choice,
    /// The request to repeat when the connection breaks.
    wanted: Attach,
    stream: Option<(UnixStream, Decoder)>,
    /// Frames that the daemon has not taken yet.
    typed: VecDeque<u8>,
    /// When to retry, and how long to wait after that.
    again: Option<Instant>,
    pause: Duration,
    /// Requests that the daemon has not answered yet.
    attaching: Option<Request<Result<(Attached, UnixStream), Refusal>>>,
    breaking: Option<Request<anyhow::Result<()>>>,
    /// The daemon ended the session because nothing was typed.
    idle: bool,
}

/// A request on a thread of its own, so that the user can leave while the daemon
/// does not answer.
struct Request<T> {
    answer: Receiver<T>,
    /// Readable when the answer is there.
    done: UnixStream,
}

impl<T: Send + 'static> Request<T> {
    fn start(ask: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        let (done, working) = UnixStream::pair()?;
        let (tell, answer) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            // The user may have left.
            let _told = tell.send(ask());
            drop(working);
        })?;
        Ok(Self { answer, done })
    }

    /// The answer, once it is there.
    fn poll(request: &mut Option<Self>) -> Option<T> {
        let answer = request.as_ref()?.answer.try_recv();
        if !matches!(answer, Err(TryRecvError::Empty)) {
            *request = None;
        }
        answer.ok()
    }
}

impl Link for Console<'_> {
    fn interests(&self, room: bool) -> Vec<PollFd<'_>> {
        let stream = self.stream.as_ref().map(|(stream, _)| {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, room);
            wanted.set(PollFlags::OUT, !self.typed.is_empty());
            PollFd::new(stream, wanted)
        });
        let attaching = self.attaching.as_ref().map(|request| &request.done);
        let breaking = self.breaking.as_ref().map(|request| &request.done);
        let answers = attaching.into_iter().chain(breaking);
        let answers = answers.map(|done| PollFd::new(done, PollFlags::IN));
        stream.into_iter().chain(answers).collect()
    }

    fn pause(&self) -> Option<Duration> {
        let again = self.again?;
        Some(again.saturating_duration_since(Instant::now()))
    }

    fn serve(&mut self, happened: &[PollFlags], display: &mut Display) -> anyhow::Result<bool> {
        if self.stream.is_some() {
            let stream = happened.first().copied().unwrap_or(PollFlags::empty());
            let ended = PollFlags::HUP | PollFlags::ERR;
            if stream.intersects(PollFlags::IN | ended) {
                self.receive(display)?;
            }
            if self.idle {
                return Err(exit::because(Why::Idle, "nothing was typed for too long"));
            }
            if stream.intersects(PollFlags::OUT | ended) {
                self.pass_on();
            }
        }
        match Request::poll(&mut self.breaking) {
            Some(Ok(())) => display.remark("break sent"),
            Some(Err(error)) => display.remark(&format!("no break: {error:#}")),
            None => {}
        }
        if let Some(answer) = Request::poll(&mut self.attaching) {
            return self.come_back(answer, display);
        }
        if self.again.is_some_and(|again| Instant::now() >= again) {
            self.again = None;
            let (daemon, wanted) = (self.daemon.clone(), self.wanted.clone());
            self.attaching = Some(Request::start(move || daemon.attach(&wanted))?);
        }
        Ok(true)
    }

    fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    fn is_heard(&self) -> bool {
        self.wanted.mode == Mode::ReadWrite
    }

    fn input(&mut self, bytes: &[u8], _display: &mut Display) {
        self.typed.extend(frame::data(bytes));
        self.pass_on();
    }

    fn waiting(&self) -> usize {
        self.typed.len()
    }

    fn command(&mut self, command: Command, display: &mut Display) {
        match command {
            Command::ReadOnly => {
                let wanted = mode(!self.is_heard());
                self.typed.extend(frame::mode(wanted));
                self.pass_on();
                self.set_mode(wanted, display);
            }
            // By a connection of its own: a break is needed when the guest takes no
            // input, and earlier input would delay it.
            Command::Break if self.breaking.is_none() => {
                let (daemon, choice) = (self.daemon.clone(), self.choice.clone());
                let ask = move || daemon.send_break(choice.domid, &choice.console);
                match Request::start(ask) {
                    Ok(request) => self.breaking = Some(request),
                    Err(error) => display.remark(&format!("no break: {error}")),
                }
            }
            Command::Break => display.remark("the daemon has not answered the last one yet"),
        }
    }
}

impl Console<'_> {
    /// Receives frames from the daemon.
    fn receive(&mut self, display: &mut Display) -> anyhow::Result<()> {
        let Some((stream, decoder)) = &mut self.stream else {
            return Ok(());
        };
        let mut buffer = [0; 16384];
        let frames = match stream.read(&mut buffer) {
            Ok(length @ 1..) => decoder.push(&buffer[..length]),
            Err(error) if is_transient(&error) => return Ok(()),
            Ok(_) | Err(_) => {
                self.lost(display);
                return Ok(());
            }
        };
        match frames {
            Ok(frames) => frames
                .into_iter()
                .for_each(|frame| self.handle(frame, display)),
            Err(what) => bail!("the daemon sent {what}"),
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame, display: &mut Display) {
        match frame {
            Frame::Data(bytes) => {
                display.put(&bytes);
                self.advance(bytes.len() as u64);
            }
            Frame::Lost(count) => {
                display.skip(count);
                display.remark(&format!("{count} bytes lost"));
                self.advance(count);
            }
            Frame::Mode(mode) if mode != self.wanted.mode => {
                if mode == Mode::ReadOnly {
                    // Another user has exclusive typing now.
                    self.wanted.exclusive = None;
                }
                self.set_mode(mode, display);
            }
            Frame::Mode(_) => {}
            Frame::Notice(text) => display.remark(&plain(&text)),
            Frame::Ended(why) if why == "idle" => {
                self.idle = true;
                self.stream = None;
            }
            Frame::Ended(_) => self.lost(display),
        }
    }

    fn advance(&mut self, count: u64) {
        if let Some(resume) = &mut self.wanted.resume {
            resume.from = resume.from.saturating_add(count);
        }
    }

    fn set_mode(&mut self, mode: Mode, display: &mut Display) {
        self.wanted.mode = mode;
        display.remark(match mode {
            Mode::ReadWrite => "read and write",
            Mode::ReadOnly => "read only",
        });
    }

    /// Sends input to the daemon.
    fn pass_on(&mut self) {
        let Some((stream, _)) = &mut self.stream else {
            return;
        };
        while !self.typed.is_empty() {
            match stream.write(self.typed.as_slices().0) {
                Ok(length) => drop(self.typed.drain(..length)),
                Err(error) if is_transient(&error) => return,
                // What the daemon sent before it ended is still to be read.
                Err(_) => self.typed.clear(),
            }
        }
    }

    /// The connection has ended.
    fn lost(&mut self, display: &mut Display) {
        self.stream = None;
        self.typed.clear();
        self.pause = RETRY_FIRST;
        self.again = Some(Instant::now());
        display.remark("disconnected; reconnecting");
    }

    /// Continues where the stream stopped, or retries; `false` when the domain is
    /// gone.
    fn come_back(
        &mut self,
        answer: Result<(Attached, UnixStream), Refusal>,
        display: &mut Display,
    ) -> anyhow::Result<bool> {
        match answer {
            Ok((attached, stream)) => {
                self.stream = Some((stream, Decoder::default()));
                display.remark("reconnected");
                let before = self.wanted.resume.replace(place(&attached));
                if before != self.wanted.resume {
                    // The history is a different one: the number of missing bytes
                    // is unknown.
                    display.remark("bytes may be missing here");
                }
            }
            Err(Refusal::NoDomain(_)) => return Ok(false),
            Err(Refusal::Silent(_) | Refusal::NoConsole(_) | Refusal::NotKnown(_)) => {
                self.again = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(RETRY_LAST);
            }
            Err(Refusal::Busy(why)) => {
                display.remark(&why);
                self.wanted.exclusive = None;
                self.again = Some(Instant::now());
            }
            Err(refusal @ (Refusal::Denied(_) | Refusal::Other(_))) => return Err(refusal.into()),
        }
        Ok(true)
    }
}
