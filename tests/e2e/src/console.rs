// SPDX-License-Identifier: MIT
//! A user's console: the client in its own terminal, its output so far, and waiting
//! for output.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use terminal::{Screen, Terminal};

use crate::{command, guest};

/// How long a daemon may take to serve a console: a domain that reboots is listed
/// before it is built.
const SERVED: Duration = Duration::from_secs(120);

/// The key that leaves a console: ^].
pub(crate) const LEAVE: u8 = 0x1d;

/// A console of a guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Line {
    /// The emulated UART, ttyAMA0.
    Vuart,
    /// The PV console, hvc0.
    Pv,
}

impl Line {
    pub(crate) const BOTH: [Self; 2] = [Self::Vuart, Self::Pv];

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vuart => "vuart",
            Self::Pv => "pv",
        }
    }

    /// Its name in a Linux guest.
    pub(crate) fn tty(self) -> &'static str {
        match self {
            Self::Vuart => "ttyAMA0",
            Self::Pv => "hvc0",
        }
    }

    /// The name of its pty in dom0, as soon as a daemon serves it.
    pub(crate) fn pty(self, domid: u16) -> Result<String> {
        let node = match self {
            Self::Vuart => format!("/local/domain/{domid}/vuart/0/tty"),
            Self::Pv => format!("/local/domain/{domid}/console/tty"),
        };
        let mut path = String::new();
        let served = command::poll(SERVED, || {
            let read = command::run("xenstore-read", &[&node], SERVED);
            path = read.and_then(command::Finished::ok).unwrap_or_default();
            path.trim().starts_with("/dev/")
        });
        if !served {
            bail!("no daemon serves a console at {node}");
        }
        Ok(path.trim().to_owned())
    }
}

/// The output, and whether it has ended.
#[derive(Debug, Default)]
struct Shown {
    screen: Screen,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    shown: Mutex<Shown>,
    changed: Condvar,
}

impl Shared {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open client.
#[derive(Debug)]
pub(crate) struct Console {
    client: Child,
    terminal: File,
    shared: Arc<Shared>,
    title: String,
}

impl Console {
    /// Opens `xl console` on a line of a guest, in a terminal in raw mode. The client
    /// gives up if the console is not served after 5 s, which is too short for a busy
    /// machine.
    pub(crate) fn open(guest: &str, line: Line) -> Result<Self> {
        line.pty(guest::domid(guest)?)?;
        let mut args = vec!["console"];
        if line == Line::Vuart {
            args.extend(["-t", "vuart"]);
        }
        args.push(guest);
        Self::spawn("xl", &args)
    }

    /// Starts any program in a terminal.
    pub(crate) fn spawn(program: &str, args: &[&str]) -> Result<Self> {
        let title = format!("{program} {}", args.join(" "));
        let (terminal, inside) = open_terminal().context("opening a terminal")?;
        let client = Command::new(program)
            .args(args)
            .stdin(Stdio::from(inside.try_clone()?))
            .stdout(Stdio::from(inside.try_clone()?))
            .stderr(Stdio::from(inside))
            .spawn()
            .with_context(|| format!("starting {title}"))?;
        let shared = Arc::new(Shared::default());
        let reader = (terminal.try_clone()?, Arc::clone(&shared));
        thread::spawn(move || collect(reader.0, &reader.1));
        Ok(Self {
            client,
            terminal,
            shared,
            title,
        })
    }

    /// Waits until one of the patterns is shown; returns its index and the text
    /// before it.
    pub(crate) fn expect_any(
        &mut self,
        patterns: &[&str],
        limit: Duration,
    ) -> Result<(usize, Vec<u8>)> {
        let bytes: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        let end = Instant::now() + limit;
        let mut shown = self.shared.shown();
        let mut skip = 0;
        loop {
            if let Some(found) = shown.screen.find(&bytes, &mut skip) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || shown.closed {
                let why = if shown.closed {
                    "the client ended"
                } else {
                    "timeout"
                };
                let tail = tail(shown.screen.fresh());
                bail!(
                    "{}: {why} waiting for {patterns:?}; last shown: {tail:?}",
                    self.title
                );
            }
            let wait = self.shared.changed.wait_timeout(shown, left);
            shown = wait.map_or_else(|poisoned| poisoned.into_inner().0, |(shown, _)| shown);
        }
    }

    /// Waits for a pattern; returns the bytes before it.
    pub(crate) fn expect(&mut self, pattern: &str, limit: Duration) -> Result<Vec<u8>> {
        self.expect_any(&[pattern], limit).map(|(_, before)| before)
    }

    /// Waits until `len` more bytes are shown; returns them.
    pub(crate) fn expect_bytes(&mut self, len: usize, limit: Duration) -> Result<Vec<u8>> {
        let mut bytes = None;
        command::poll(limit, || {
            bytes = self.shared.shown().screen.take(len);
            bytes.is_some()
        });
        bytes.with_context(|| {
            let came = self.shared.shown().screen.fresh().len();
            format!(
                "{}: {came} of {len} bytes came within {limit:?}",
                self.title
            )
        })
    }

    /// Types text.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        self.send_bytes(text.as_bytes(), Duration::from_secs(20))
    }

    /// Types bytes as fast as the client accepts them.
    pub(crate) fn send_bytes(&mut self, mut bytes: &[u8], limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while !bytes.is_empty() {
            let taken = self.type_some(bytes, end)?;
            if taken == 0 {
                bail!(
                    "{}: {} bytes were not accepted within {limit:?}",
                    self.title,
                    bytes.len()
                );
            }
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    /// Types bytes until the client accepts no more for that long; returns how many
    /// it accepted.
    pub(crate) fn send_what_goes(&mut self, bytes: &[u8], quiet: Duration) -> Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            let taken = self.type_some(&bytes[sent..], Instant::now() + quiet)?;
            if taken == 0 {
                break;
            }
            sent += taken;
        }
        Ok(sent)
    }

    /// Types as many bytes as there is room for, as soon as there is some; 0 if
    /// there is none by `end`.
    fn type_some(&mut self, bytes: &[u8], end: Instant) -> Result<usize> {
        loop {
            match self.terminal.write(bytes) {
                Ok(taken) => return Ok(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(anyhow!(error).context(self.title.clone())),
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(0);
            }
            await_terminal(&self.terminal, PollFlags::OUT, Some(left))?;
        }
    }

    /// All output since the client was opened.
    pub(crate) fn transcript(&self) -> String {
        String::from_utf8_lossy(self.shared.shown().screen.shown()).into_owned()
    }

    /// Leaves the client by its key; returns whether it ended in time.
    pub(crate) fn leave(mut self) -> Result<bool> {
        self.send_bytes(&[LEAVE], Duration::from_secs(5))?;
        Ok(command::wait(&mut self.client, Duration::from_secs(10))?.is_some())
    }

    /// Whether the client still runs.
    pub(crate) fn is_open(&mut self) -> bool {
        matches!(self.client.try_wait(), Ok(None))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// The outer end of a new terminal, not blocking, and its inner end, raw.
fn open_terminal() -> io::Result<(File, OwnedFd)> {
    let terminal = Terminal::try_open()?;
    terminal.make_raw()?;
    rustix::io::ioctl_fionbio(&terminal.outer, true)?;
    Ok(terminal.into_ends())
}

/// Adds the client's output to the screen until the client ends.
fn collect(mut terminal: File, shared: &Shared) {
    let mut buffer = [0; 4096];
    loop {
        let read = match terminal.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if await_terminal(&terminal, PollFlags::IN, None).is_ok() {
                    continue;
                }
                0
            }
            // A terminal ends with an error: nothing has its inner end open.
            other => other.unwrap_or(0),
        };
        let mut shown = shared.shown();
        shown.screen.show(&buffer[..read]);
        shown.closed = read == 0;
        shared.changed.notify_all();
        if shown.closed {
            return;
        }
    }
}

fn await_terminal(terminal: &impl AsFd, flags: PollFlags, limit: Option<Duration>) -> Result<()> {
    let limit = limit.map(Timespec::try_from).transpose()?;
    match poll(&mut [PollFd::new(terminal, flags)], limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn tail(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(300)..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_program_is_driven_through_its_terminal() {
        let mut console = Console::spawn("sh", &["-c", "read a; echo got:$a; read b"]).unwrap();
        console.send("word\n").unwrap();
        console.expect("got:word", LIMIT).unwrap();
        assert!(console.is_open());
        console.send("\n").unwrap();
        let error = console.expect("never", LIMIT).unwrap_err().to_string();
        assert!(error.contains("the client ended"), "{error}");
        assert!(console.transcript().contains("got:word"));
    }

    #[test]
    fn bytes_pass_unchanged_both_ways() {
        let mut console = Console::spawn("head", &["-c", "65536"]).unwrap();
        let sent = crate::pattern::bytes(7, crate::pattern::LEN);
        console.send_bytes(&sent, LIMIT).unwrap();
        assert_eq!(console.expect_bytes(sent.len(), LIMIT).unwrap(), sent);
    }

    #[test]
    fn waiting_ends_at_its_limit() {
        let mut console = Console::spawn("sleep", &["60"]).unwrap();
        let error = console
            .expect("x", Duration::from_millis(100))
            .unwrap_err()
            .to_string();
        assert!(error.contains("timeout"), "{error}");
        let flood = vec![b'x'; 1 << 20];
        assert!(
            console
                .send_bytes(&flood, Duration::from_millis(100))
                .is_err()
        );
        let rest = console.send_what_goes(&flood, Duration::from_millis(100));
        assert_eq!(rest.unwrap(), 0);
    }
}
