// SPDX-License-Identifier: MIT
//! A console by its pty, like `xl console`: waits until xenstore has the pty's
//! name, and reopens it when the daemon is restarted.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{self, OptionalActions};
use xen_io::xenstore::{Client, domain_path};

use super::lock;
use super::target::Target;
use super::{End, Link, Manner, is_transient};
use crate::options;
use crate::terminal::display::Display;

/// How long the pty may take to appear.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tokens of the watches on the pty's name and on domains that end.
const TTY: &str = "tty";
const RELEASE: &str = "release";

/// View options that `xenconsole` does not have.
#[derive(Clone, Copy, Default)]
pub(crate) struct Viewing {
    /// Input does not reach the guest.
    pub(crate) read_only: bool,
    /// Escape sequences are left out.
    pub(crate) filter: bool,
}

/// Runs a session until the user leaves or the domain ends.
pub(crate) fn run(
    mut store: Client,
    target: &Target,
    session: &options::Session,
    viewing: Viewing,
) -> anyhow::Result<End> {
    store.watch(&target.tty_path(), TTY)?;
    store.watch("@releaseDomain", RELEASE)?;
    let pty = wait_for_pty(&mut store, target)?;
    let introduced = store.is_introduced(target.domid)?;
    let console = Console {
        store,
        target,
        pty: Some(pty),
        typed: VecDeque::new(),
        read_only: viewing.read_only,
        introduced,
    };
    let manner = Manner {
        session,
        menu: None,
        suspends: true,
        filter: viewing.filter,
        history: 0,
        greeting: None,
        banner: Vec::new(),
    };
    super::run(console, &target.to_string(), &manner)
}

struct Console<'a> {
    store: Client,
    target: &'a Target,
    pty: Option<File>,
    /// Input that the pty has not taken yet.
    typed: VecDeque<u8>,
    read_only: bool,
    /// The domain was introduced to xenstored. It is not yet while a boot loader
    /// prepares it.
    introduced: bool,
}

impl Link for Console<'_> {
    fn interests(&self, room: bool) -> Vec<PollFd<'_>> {
        let store = PollFd::new(&self.store, PollFlags::IN);
        let pty = self.pty.as_ref().map(|pty| {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, room);
            wanted.set(PollFlags::OUT, !self.typed.is_empty());
            PollFd::new(pty, wanted)
        });
        std::iter::once(store).chain(pty).collect()
    }

    fn serve(&mut self, happened: &[PollFlags], display: &mut Display) -> anyhow::Result<bool> {
        let pty = happened.get(1).copied().unwrap_or(PollFlags::empty());
        if pty.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            self.show(display);
        }
        if pty.contains(PollFlags::OUT) {
            self.pass_on();
        }
        if happened.first().is_some_and(|store| !store.is_empty()) {
            return self.follow(display);
        }
        Ok(true)
    }

    fn is_open(&self) -> bool {
        self.pty.is_some()
    }

    fn is_heard(&self) -> bool {
        !self.read_only
    }

    fn input(&mut self, bytes: &[u8], _display: &mut Display) {
        self.typed.extend(bytes);
        self.pass_on();
    }

    fn waiting(&self) -> usize {
        self.typed.len()
    }
}

impl Console<'_> {
    /// Passes output from the pty to the user.
    fn show(&mut self, display: &mut Display) {
        let Some(pty) = &mut self.pty else { return };
        let mut buffer = [0; 4096];
        match pty.read(&mut buffer) {
            Ok(length @ 1..) => display.put(&buffer[..length]),
            Err(error) if is_transient(&error) => {}
            // The daemon has closed it.
            Ok(_) | Err(_) => {
                self.pty = None;
                self.typed.clear();
                display.remark("disconnected; reconnecting");
            }
        }
    }

    /// Writes waiting input to the pty.
    fn pass_on(&mut self) {
        let Some(pty) = &mut self.pty else { return };
        while !self.typed.is_empty() {
            match pty.write(self.typed.as_slices().0) {
                Ok(length) => drop(self.typed.drain(..length)),
                Err(error) if is_transient(&error) => return,
                // Output from before it closed is still to be read.
                Err(_) => self.typed.clear(),
            }
        }
    }

    /// Handles xenstore's events; `false` when the domain is gone. A pty is opened
    /// only at an event of its node: the name of a closed pty may belong to another
    /// program by now.
    fn follow(&mut self, display: &mut Display) -> anyhow::Result<bool> {
        while let Some(event) = self.store.next_event()? {
            if !self.domain_lives()? {
                return Ok(false);
            }
            if event.token != TTY {
                continue;
            }
            match self.reopen() {
                Ok(true) => display.remark("reconnected"),
                Ok(false) => {}
                Err(error) => display.remark(&format!("cannot be opened: {error:#}")),
            }
        }
        Ok(true)
    }

    /// Opens the pty that is named now, unless it is already open; returns whether
    /// none was open. After a restart of its daemon, a pty of the same name is
    /// another one.
    fn reopen(&mut self) -> anyhow::Result<bool> {
        let Some(name) = named_pty(&mut self.store, self.target)? else {
            return Ok(false);
        };
        let is_open = |pty: &File| {
            let mut fds = [PollFd::new(pty, PollFlags::empty())];
            let now = Some(&Timespec::default());
            let hung_up = rustix::event::poll(&mut fds, now).is_ok_and(|count| count > 0);
            let (ours, named) = (pty.metadata(), std::fs::metadata(&name));
            let is_named = ours.is_ok_and(|ours| named.is_ok_and(|one| one.rdev() == ours.rdev()));
            is_named && !hung_up
        };
        if self.pty.as_ref().is_some_and(is_open) {
            return Ok(false);
        }
        let pty = open_pty(&name, self.target)?;
        Ok(self.pty.replace(pty).is_none())
    }

    /// Whether the domain exists. A domain that ended by itself may leave its nodes
    /// behind.
    fn domain_lives(&mut self) -> io::Result<bool> {
        let domid = self.target.domid;
        let known = self.store.is_introduced(domid)?;
        let ended = self.introduced && !known;
        self.introduced |= known;
        Ok(!ended && self.store.read(&domain_path(domid))?.is_some())
    }
}

fn wait_for_pty(store: &mut Client, target: &Target) -> anyhow::Result<File> {
    let deadline = Instant::now() + PATIENCE;
    let mut why = None;
    loop {
        while store.next_event()?.is_some() {
            why = match named_pty(store, target) {
                Ok(Some(name)) => match open_pty(&name, target) {
                    Err(error) if !error.is::<InUse>() => Some(error),
                    opened => return opened,
                },
                Ok(None) => continue,
                Err(error) => Some(error),
            };
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&*store, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&Timespec::try_from(left)?)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
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

/// The name of the pty, once xenstore has it.
fn named_pty(store: &mut Client, target: &Target) -> anyhow::Result<Option<String>> {
    let name = store.read(&target.tty_path())?;
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(&name).into_owned();
    // Not everyone who may write the node may choose a file for root to open.
    let number = name.strip_prefix("/dev/pts/").unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        bail!("{} names {name:?}, which is no pty", target.tty_path());
    }
    Ok(Some(name))
}

/// Another client holds the pty.
#[derive(Debug)]
struct InUse(String);

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InUse {}

fn open_pty(name: &str, target: &Target) -> anyhow::Result<File> {
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let pty = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(name)
        .with_context(|| name.to_owned())?;
    if let Err(holder) = lock::take(&pty).with_context(|| name.to_owned())? {
        return Err(InUse(format!("{target} is in use by {holder}")).into());
    }
    let mut modes = termios::tcgetattr(&pty).with_context(|| name.to_owned())?;
    modes.make_raw();
    termios::tcsetattr(&pty, OptionalActions::Now, &modes).with_context(|| name.to_owned())?;
    Ok(pty)
}
