// SPDX-License-Identifier: MIT
//! The client: requests wait for their answer, watch events queue up.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::wire::{self, Message, kind};
use super::{Permission, WatchEvent};
use crate::types::DomId;

/// Sockets of xenstored, the usual one first.
const SOCKETS: [&str; 2] = ["/run/xenstored/socket", "/var/run/xenstored/socket"];
/// The kernel's device for a xenstored in another domain.
pub const DEVICE: &str = "/dev/xen/xenbus";

/// Time limit for an answer, unless [`Client::set_patience`] changes it.
/// Xenstored answers at once unless it is gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a transaction is retried after a conflict.
const ATTEMPTS: usize = 64;

/// Most queued events. With more unread events the connection is lost.
const EVENTS_MAX: usize = 1 << 16;

/// A connection to xenstore.
///
/// The descriptor is non-blocking and readable when a watch has fired. Events
/// that arrive while a request waits for its answer are queued, so call
/// [`next_event`](Self::next_event) until it returns none before waiting for the
/// descriptor.
pub struct Client {
    file: File,
    inbox: Vec<u8>,
    events: VecDeque<WatchEvent>,
    last_request: u32,
    /// The transaction that requests belong to; 0 for none.
    transaction: u32,
    patience: Duration,
    lost: bool,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Client {
    /// Connects to this host's xenstore: the socket named by `XENSTORED_PATH`,
    /// else the usual ones, else the kernel's device.
    pub fn open() -> io::Result<Self> {
        Self::from_fd(Self::open_fd()?)
    }

    /// The same, as a descriptor for another process.
    pub fn open_fd() -> io::Result<OwnedFd> {
        if let Some(path) = std::env::var_os("XENSTORED_PATH") {
            return Ok(UnixStream::connect(path)?.into());
        }
        for socket in SOCKETS {
            if let Ok(stream) = UnixStream::connect(socket) {
                return Ok(stream.into());
            }
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(|errno| {
            let error = io::Error::from(errno);
            let what = format!("xenstore: neither {} nor {DEVICE}: {error}", SOCKETS[0]);
            io::Error::new(error.kind(), what)
        })
    }

    /// Uses a connection that another process opened.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        Ok(Self::new(fd.into()))
    }

    /// Connects to the xenstored that listens at `socket`.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        Self::from_stream(UnixStream::connect(socket)?)
    }

    /// Uses a connected stream.
    pub fn from_stream(stream: UnixStream) -> io::Result<Self> {
        Self::from_fd(stream.into())
    }

    fn new(file: File) -> Self {
        Self {
            file,
            inbox: Vec::new(),
            events: VecDeque::new(),
            last_request: 0,
            transaction: 0,
            patience: PATIENCE,
            lost: false,
        }
    }

    /// Sets the time limit for answers.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Whether the connection is unusable: it was closed, or received invalid
    /// data. A late answer does not make it unusable.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Reads a node; `None` if there is none.
    pub fn read(&mut self, path: &str) -> io::Result<Option<Vec<u8>>> {
        optional(self.on_path(kind::READ, path, &[]))
    }

    /// Writes a node; creates it and its parents if missing.
    pub fn write(&mut self, path: &str, value: impl AsRef<[u8]>) -> io::Result<()> {
        self.on_path(kind::WRITE, path, value.as_ref()).map(drop)
    }

    /// Creates an empty node if it is missing.
    pub fn mkdir(&mut self, path: &str) -> io::Result<()> {
        self.on_path(kind::MKDIR, path, &[]).map(drop)
    }

    /// Removes a node and its descendants; no error if there is none.
    pub fn remove(&mut self, path: &str) -> io::Result<()> {
        optional(self.on_path(kind::RM, path, &[])).map(drop)
    }

    /// Names of a node's children; `None` if there is no such node.
    pub fn directory(&mut self, path: &str) -> io::Result<Option<Vec<String>>> {
        match self.on_path(kind::DIRECTORY, path, &[]) {
            // The list does not fit in one message.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::TOOBIG) => {
                optional(self.long_directory(path))
            }
            answer => optional(answer),
        }?
        .map(|payload| wire::strings(&payload).map(wire::text).collect())
        .transpose()
    }

    /// A node's permissions.
    pub fn permissions(&mut self, path: &str) -> io::Result<Vec<Permission>> {
        let payload = self.on_path(kind::GET_PERMS, path, &[])?;
        wire::decode_permissions(wire::strings(&payload))
    }

    /// Replaces a node's permissions; the first entry names the owner.
    pub fn set_permissions(&mut self, path: &str, permissions: &[Permission]) -> io::Result<()> {
        self.on_path(
            kind::SET_PERMS,
            path,
            &wire::encode_permissions(permissions),
        )
        .map(drop)
    }

    /// Requests an event with `token` now, and whenever a node at `path` or below
    /// it changes.
    pub fn watch(&mut self, path: &str, token: &str) -> io::Result<()> {
        self.outside_transaction(kind::WATCH, &watch_payload(path, token)?)
    }

    /// Removes a watch. Events that were already sent may still come.
    pub fn unwatch(&mut self, path: &str, token: &str) -> io::Result<()> {
        self.outside_transaction(kind::UNWATCH, &watch_payload(path, token)?)
    }

    /// Whether the domain is introduced: from its introduction by the toolstack
    /// until it starts to die.
    pub fn is_introduced(&mut self, domid: DomId) -> io::Result<bool> {
        let payload = self.request(
            kind::IS_DOMAIN_INTRODUCED,
            0,
            format!("{domid}\0").into_bytes(),
        )?;
        Ok(payload.first() == Some(&b'T'))
    }

    /// Runs `body` so that its requests take effect all together or, if it
    /// returns an error, not at all. It runs again after a conflict with another
    /// client.
    pub fn transaction<T>(
        &mut self,
        mut body: impl FnMut(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.transaction != 0 {
            return Err(Errno::BUSY.into());
        }
        for _ in 0..ATTEMPTS {
            let id = self.request(kind::TRANSACTION_START, 0, vec![0])?;
            let id = wire::text(wire::strings(&id).next().unwrap_or_default())?
                .parse()
                .map_err(|_| wire::invalid("a transaction without a number"))?;
            self.transaction = id;
            let result = body(self);
            self.transaction = 0;
            let verdict = if result.is_ok() { b"T\0" } else { b"F\0" };
            match self.request(kind::TRANSACTION_END, id, verdict.to_vec()) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::AGAIN) => {}
                Err(error) if result.is_ok() => return Err(error),
                _ => return result,
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Whether something was received for which the descriptor is not readable
    /// any more, because a request read it before its answer.
    #[must_use]
    pub fn has_read_ahead(&self) -> bool {
        !self.events.is_empty() || !self.inbox.is_empty()
    }

    /// The next event, without blocking.
    pub fn next_event(&mut self) -> io::Result<Option<WatchEvent>> {
        let event = self.take_event();
        self.lost |= event.is_err();
        event
    }

    fn take_event(&mut self) -> io::Result<Option<WatchEvent>> {
        loop {
            // An answer here arrived after its request's time limit.
            while self.take_message()?.is_some() {}
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if !self.receive()? {
                return Ok(None);
            }
        }
    }

    /// Reads in parts a list that is too long for one message.
    fn long_directory(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let mut generation = Vec::new();
        let mut list = Vec::new();
        loop {
            let offset = format!("{}\0", list.len());
            let part = self.on_path(kind::DIRECTORY_PART, path, offset.as_bytes())?;
            let end = part.iter().position(|byte| *byte == 0);
            let (now, names) = part.split_at(end.ok_or(wire::invalid("an endless number"))? + 1);
            if now != generation {
                // The first part, or the list changed: start again.
                let restart = !list.is_empty();
                generation = now.to_vec();
                list.clear();
                if restart {
                    continue;
                }
            }
            // The last part ends with an empty name.
            match names.strip_suffix(b"\0") {
                Some(names) if names.is_empty() || names.ends_with(b"\0") => {
                    list.extend_from_slice(names);
                    return Ok(list);
                }
                Some(_) => list.extend_from_slice(names),
                None => return Err(wire::invalid("a list that does not end")),
            }
        }
    }

    fn on_path(&mut self, kind: u32, path: &str, rest: &[u8]) -> io::Result<Vec<u8>> {
        let mut payload = path_payload(path)?;
        payload.extend_from_slice(rest);
        self.request(kind, self.transaction, payload)
    }

    fn outside_transaction(&mut self, kind: u32, payload: &[u8]) -> io::Result<()> {
        self.request(kind, 0, payload.to_vec()).map(drop)
    }

    /// Sends a request and waits for its answer.
    fn request(&mut self, kind: u32, transaction: u32, payload: Vec<u8>) -> io::Result<Vec<u8>> {
        self.last_request = self.last_request.wrapping_add(1);
        let request = Message {
            kind,
            request: self.last_request,
            transaction,
            payload,
        };
        let bytes = request.encode()?;
        let answer = self.exchange(&bytes, request.request);
        let answer = answer?;
        match answer.kind {
            kind::ERROR => Err(wire::error_from_name(&answer.payload)),
            same if same == kind => Ok(answer.payload),
            _ => {
                self.lost = true;
                Err(wire::invalid("an answer to something else"))
            }
        }
    }

    fn exchange(&mut self, bytes: &[u8], request: u32) -> io::Result<Message> {
        let deadline = Instant::now() + self.patience;
        let sent = self.send(bytes, deadline);
        // A part of a request may have been sent.
        self.lost |= sent.is_err();
        sent?;
        loop {
            let answer = self.find_answer(request);
            self.lost |= answer.is_err();
            if let Some(answer) = answer? {
                return Ok(answer);
            }
            self.wait(PollFlags::IN, deadline)?;
            let received = self.receive();
            self.lost |= received.is_err();
            received?;
        }
    }

    fn find_answer(&mut self, request: u32) -> io::Result<Option<Message>> {
        while let Some(answer) = self.take_message()? {
            if answer.request == request {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(PollFlags::OUT, deadline)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives some bytes; `false` if there were none.
    fn receive(&mut self) -> io::Result<bool> {
        let mut bytes = [0; wire::HEADER + wire::PAYLOAD_MAX];
        loop {
            match self.file.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    self.inbox.extend_from_slice(&bytes[..length]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next complete answer; events before it are queued.
    fn take_message(&mut self) -> io::Result<Option<Message>> {
        while let Some(message) = Message::decode(&mut self.inbox)? {
            if message.kind != kind::WATCH_EVENT {
                return Ok(Some(message));
            }
            if self.events.len() >= EVENTS_MAX {
                return Err(wire::invalid("too many events"));
            }
            self.events.push_back(message.watch_event()?);
        }
        Ok(None)
    }

    fn wait(&self, flags: PollFlags, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut fds = [PollFd::new(&self.file, flags)];
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(0) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "xenstore does not answer",
            )),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// A path at the start of a payload. It comes from this program, or from names
/// that a guest may have chosen.
fn path_payload(path: &str) -> io::Result<Vec<u8>> {
    if path.is_empty() || path.len() > wire::PATH_MAX || path.contains('\0') {
        return Err(Errno::INVAL.into());
    }
    let mut payload = Vec::with_capacity(path.len() + 1);
    payload.extend_from_slice(path.as_bytes());
    payload.push(0);
    Ok(payload)
}

fn watch_payload(path: &str, token: &str) -> io::Result<Vec<u8>> {
    let mut payload = path_payload(path)?;
    payload.extend(path_payload(token)?);
    Ok(payload)
}

fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if super::is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
