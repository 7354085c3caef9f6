// SPDX-License-Identifier: MIT
//! A process beside the daemon that stays root and opens what the daemon may not.
//! It is this program, started again before the daemon gives up privileges, and
//! ends with it. It answers a closed list of requests. Each is one byte and
//! contains no path: paths come from the broker's environment and command line.
//! It has no capability, and few system calls.
//!
//! The event loop never asks it, because a request blocks.

use std::env;
use std::ffi::CStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use xen_io::xenstore::Client;

use super::{landlock, seccomp};

/// Time limit for an answer: the broker may be waiting for xenstored.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest answer, which is an error's text.
const ANSWER_MAX: usize = 256;

/// The thread's name, which distinguishes it from the daemon.
const NAME: &CStr = c"console-broker";

/// Its first message.
const READY: &[u8] = b"ready";

/// The possible requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Request {
    /// A connection to this host's xenstored.
    Xenstore = b'x',
}

impl Request {
    fn parse(message: &[u8]) -> Option<Self> {
        [Self::Xenstore]
            .into_iter()
            .find(|request| message == [*request as u8])
    }

    fn open(self) -> io::Result<OwnedFd> {
        match self {
            Self::Xenstore => Client::open_fd(),
        }
    }
}

/// The daemon's end of the connection.
pub struct Broker {
    socket: OwnedFd,
    /// It ends when the socket is closed.
    _child: Child,
    /// Its end was reported before.
    missed: AtomicBool,
}

impl Broker {
    /// Starts this program with `argument` added, which must make it call [`serve`].
    pub fn start(argument: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(env::args_os().skip(1)).arg(argument);
        Self::spawn(command).context("the process that opens what the daemon may not")
    }

    /// Starts a program that must call [`serve`].
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        // Sockets from the service manager are for this process only: this call
        // makes them close on exec.
        let _none = sd_notify::listen_fds()?;
        let (socket, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let child = command
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            // Its terminal may be detached later.
            .stderr(Stdio::null())
            .spawn()?;
        // An open copy of the other end would hide the broker's exit.
        drop(command);
        // Without a time limit: on a busy host this process may start late, and if it
        // ends, the connection does.
        match receive(&socket, RecvFlags::empty())?.0.as_slice() {
            READY => {}
            b"" => bail!("it ended at its start"),
            words => bail!("{}", String::from_utf8_lossy(words)),
        }
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self {
            socket,
            _child: child,
            missed: AtomicBool::new(false),
        })
    }

    /// Connects to xenstored.
    pub fn open_xenstore(&self) -> io::Result<Client> {
        let opened = self.ask(Request::Xenstore);
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if opened.as_ref().is_err_and(gone) && !self.missed.swap(true, Ordering::Relaxed) {
            tracing::error!("the broker has ended: xenstore is lost until a restart");
        }
        Client::from_fd(opened?)
    }

    fn ask(&self, request: Request) -> io::Result<OwnedFd> {
        // A late answer to an earlier request may have arrived.
        while receive(&self.socket, RecvFlags::DONTWAIT)
            .is_ok_and(|(text, fd)| !text.is_empty() || fd.is_some())
        {}
        send(&self.socket, &[request as u8], None)?;
        match receive(&self.socket, RecvFlags::empty())? {
            (_, Some(fd)) => Ok(fd),
            (text, None) if text.is_empty() => Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the broker has ended",
            )),
            (text, None) => Err(io::Error::other(
                String::from_utf8_lossy(&text).into_owned(),
            )),
        }
    }
}

/// Answers the daemon on standard input until that is closed.
pub fn serve() -> anyhow::Result<()> {
    let daemon = rustix::stdio::stdin();
    if let Err(error) = give_up() {
        return Ok(say(daemon, &format!("{error:#}"))?);
    }
    send(daemon, READY, None)?;
    loop {
        let (message, _) = receive(daemon, RecvFlags::empty())?;
        if message.is_empty() {
            return Ok(());
        }
        let opened = match Request::parse(&message) {
            Some(request) => request.open(),
            None => Err(io::Error::other("no such request")),
        };
        match opened {
            Ok(fd) => send(daemon, b"opened", Some(&fd))?,
            Err(error) => say(daemon, &error.to_string())?,
        }
    }
}

fn give_up() -> anyhow::Result<()> {
    rustix::thread::set_name(NAME)?;
    // It ends with the daemon only, not by these signals.
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))?;
    }
    rustix::thread::set_no_new_privs(true).context("no new privileges")?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets).context("no capabilities")?;
    landlock::confine_broker()?;
    seccomp::filter_broker()?;
    Ok(())
}

fn say(daemon: impl AsFd, words: &str) -> io::Result<()> {
    let length = words.len().min(ANSWER_MAX);
    send(daemon, &words.as_bytes()[..length], None)
}

fn send(socket: impl AsFd, text: &[u8], fd: Option<&OwnedFd>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = fd.map(|fd| [fd.as_fd()]);
    if let Some(fds) = &fds {
        control.push(SendAncillaryMessage::ScmRights(fds));
    }
    let parts = [IoSlice::new(text)];
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &parts, &mut control, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// A message, empty at the end, and the descriptor that came with it.
fn receive(socket: impl AsFd, flags: RecvFlags) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut text = [0; ANSWER_MAX];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut text)];
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let length = match rustix::net::recvmsg(&socket, &mut parts, &mut control, flags) {
            Ok(message) => message.bytes,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let fd = control.drain().find_map(|part| match part {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        return Ok((text[..length].to_vec(), fd));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of the shell's in place of the broker.
    fn shell(words: &str) -> anyhow::Result<Broker> {
        let mut command = Command::new("sh");
        command.args(["-c", words]);
        Broker::spawn(command)
    }

    #[test]
    fn a_broker_may_start_later_than_it_may_answer() {
        let seconds = PATIENCE.as_secs() + 1;
        shell(&format!("sleep {seconds}; printf ready >&0")).unwrap();
    }

    #[test]
    fn a_broker_that_does_not_start_is_an_error() {
        let error = shell("exit 1").err().unwrap().to_string();
        assert_eq!(error, "it ended at its start");
        let error = shell("printf 'no capabilities' >&0").err().unwrap();
        assert_eq!(error.to_string(), "no capabilities");
    }

    #[test]
    fn the_list_of_requests_is_closed() {
        assert_eq!(Request::parse(b"x"), Some(Request::Xenstore));
        for message in [&b""[..], b"y", b"xx", b"x/run/other", b"\0"] {
            assert_eq!(Request::parse(message), None, "{message:?}");
        }
    }
}
