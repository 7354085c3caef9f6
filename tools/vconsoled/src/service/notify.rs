// SPDX-License-Identifier: MIT
//! Notifications for the service manager (`sd_notify(3)`): that consoles are
//! served, that the daemon reloads or ends, that the event loop runs, and which
//! descriptors to store. Without a service manager nothing is sent.
//!
//! Nothing here blocks. A message that the manager has no room for is queued,
//! with duplicates of its descriptors, and retried by the clock.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};
use sd_notify::NotifyState;

/// Pause before retrying a message.
const PAUSE: Duration = Duration::from_millis(20);

/// Most descriptors of one message.
const FDS_MAX: usize = 4;

/// The connection to the service manager.
#[derive(Clone, Default)]
pub(crate) struct Manager(Option<Arc<Mutex<Queue>>>);

struct Queue {
    socket: OwnedFd,
    address: SocketAddrUnix,
    /// In order; the first one failed before.
    waiting: VecDeque<Message>,
    again: Option<Instant>,
    failed: bool,
}

/// A queued message.
struct Message {
    /// The key by which a later message can replace or cancel it.
    about: String,
    text: String,
    fds: Vec<OwnedFd>,
}

impl Manager {
    /// The manager named by the environment, if any.
    pub(crate) fn of_environment() -> Self {
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self::default();
        };
        match Queue::new(path.as_encoded_bytes()) {
            Ok(queue) => Self(Some(Arc::new(Mutex::new(queue)))),
            Err(error) => {
                tracing::warn!("the service manager cannot be notified: {error}");
                Self::default()
            }
        }
    }

    /// Whether there is a manager.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Reports that consoles are served, again or for the first time.
    pub(crate) fn ready(&self) {
        self.tell("READY", "READY=1\n".to_owned(), &[]);
    }

    /// Reports that the daemon reloads.
    pub(crate) fn reloading(&self) {
        let now = NotifyState::monotonic_usec_now().map(|now| format!("{now}\n"));
        let text = format!("RELOADING=1\n{}", now.unwrap_or_default());
        self.tell("RELOADING", text, &[]);
    }

    /// Reports that the daemon ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING", "STOPPING=1\n".to_owned(), &[]);
    }

    /// Reports that the event loop runs. Only the latest of these counts, so it
    /// is never queued.
    fn beat(&self) {
        if let Some(mut queue) = self.queue() {
            queue.flush();
            if queue.waiting.is_empty() {
                let _dropped = queue.send("WATCHDOG=1\n", &[]);
            }
        }
    }

    /// Stores descriptors with the manager under one name.
    pub(crate) fn store(&self, name: &str, fds: &[BorrowedFd]) {
        // A terminal that is not open looks like one that hung up.
        let text = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n");
        self.tell(name, text, fds);
    }

    /// Removes the descriptors of that name from the manager.
    pub(crate) fn remove(&self, name: &str) {
        let Some(mut queue) = self.queue() else {
            return;
        };
        // Cancels messages that were not sent yet.
        queue
            .waiting
            .retain(|message| message.about != name || message.fds.is_empty());
        drop(queue);
        let text = format!("FDSTOREREMOVE=1\nFDNAME={name}\n");
        self.tell(name, text, &[]);
    }

    /// Retries queued messages.
    pub(crate) fn on_time(&self, now: Instant) {
        if let Some(mut queue) = self.queue()
            && queue.again.is_some_and(|again| again <= now)
        {
            queue.flush();
        }
    }

    /// When to retry.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue().and_then(|queue| queue.again)
    }

    /// Waits until everything is sent, at most for `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while let Some(mut queue) = self.queue() {
            queue.flush();
            if queue.again.is_none() {
                return;
            }
            if Instant::now() >= deadline {
                let left = queue.waiting.len();
                tracing::warn!("the service manager does not answer: {left} messages are lost");
                return;
            }
            drop(queue);
            std::thread::sleep(PAUSE);
        }
    }

    fn queue(&self) -> Option<MutexGuard<'_, Queue>> {
        let queue = self.0.as_ref()?;
        Some(queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, about: &str, text: String, fds: &[BorrowedFd]) {
        if let Some(mut queue) = self.queue() {
            queue.add(about, text, fds);
        }
    }
}

impl Queue {
    fn new(path: &[u8]) -> io::Result<Self> {
        let address = match path.strip_prefix(b"@") {
            Some(name) => SocketAddrUnix::new_abstract_name(name)?,
            None => SocketAddrUnix::new(path)?,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        Ok(Self {
            socket,
            address,
            waiting: VecDeque::new(),
            again: None,
            failed: false,
        })
    }

    fn add(&mut self, about: &str, text: String, fds: &[BorrowedFd]) {
        self.flush();
        if self.waiting.is_empty() && self.send(&text, fds) {
            return;
        }
        let fds: io::Result<Vec<OwnedFd>> =
            fds.iter().map(BorrowedFd::try_clone_to_owned).collect();
        let about = about.to_owned();
        if fds.as_ref().is_ok_and(Vec::is_empty) {
            // Only the newest of a kind is kept: the queue is bounded.
            self.waiting
                .retain(|one| one.about != about || !one.fds.is_empty());
        }
        match fds {
            Ok(fds) => {
                self.waiting.push_back(Message { about, text, fds });
                self.again.get_or_insert(Instant::now() + PAUSE);
            }
            Err(error) => tracing::warn!("the service manager does not keep {about}: {error}"),
        }
    }

    fn flush(&mut self) {
        while let Some(first) = self.waiting.pop_front() {
            let fds: Vec<BorrowedFd> = first.fds.iter().map(OwnedFd::as_fd).collect();
            if !self.send(&first.text, &fds) {
                self.waiting.push_front(first);
                self.again = Some(Instant::now() + PAUSE);
                return;
            }
        }
        self.again = None;
    }

    /// Sends a message, unless the manager has no room for it now. After another
    /// error the message is reported and dropped.
    fn send(&mut self, text: &str, fds: &[BorrowedFd]) -> bool {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let parts = [IoSlice::new(text.as_bytes())];
        loop {
            let sent = rustix::net::sendmsg_addr(
                &self.socket,
                &self.address,
                &parts,
                &mut control,
                SendFlags::NOSIGNAL,
            );
            match sent {
                Ok(_) => self.failed = false,
                Err(Errno::INTR) => continue,
                // Full, or too many descriptors are in flight.
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::TOOMANYREFS) => return false,
                Err(errno) => {
                    if !std::mem::replace(&mut self.failed, true) {
                        tracing::warn!("the service manager cannot be notified: {errno}");
                    }
                }
            }
            return true;
        }
    }
}

/// The event loop's watchdog, once [begun](Self::begin).
pub(crate) struct Watchdog {
    /// The interval between notifications.
    every: Option<Duration>,
    next: Option<Instant>,
}

impl Watchdog {
    /// Configured by the environment.
    pub(crate) fn new() -> Self {
        Self {
            // Three notifications per period, so that one may be late.
            every: sd_notify::watchdog_enabled().map(|period| period / 3),
            next: None,
        }
    }

    /// Consoles are served: notifications start now.
    pub(crate) fn begin(&mut self) {
        self.next = self.every.map(|_| Instant::now());
    }

    /// Notifies the manager if it is time; called in each iteration of the loop.
    pub(crate) fn tick(&mut self, manager: &Manager, now: Instant) {
        if let Some(every) = self.every
            && self.next.is_some_and(|next| now >= next)
        {
            manager.beat();
            self.next = Some(now + every);
        }
    }

    /// When the loop must iterate again at the latest.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }
}
