// SPDX-License-Identifier: MIT
//! The thread that owns the connection to xenstore. It reports domains and
//! consoles, and does the event loop's writes; the loop never waits for
//! xenstored. A failed connection is replaced, and everything is read again.
//!
//! Requests are kept by console, only the newest, so the memory is bounded while
//! xenstored does not answer.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use xen_io::xenstore::Client;

use super::exchange::{Link, Report, Shared, Wanted};
use super::follower::Follower;
use super::nodes::Key;
use super::xenbus::State;

/// Reports that may wait for the loop; then the thread waits.
const REPORTS_MAX: usize = 256;

/// Time limit for xenstored's answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause before connecting again: at first, and at most.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(2);

/// The loop's end of the channel.
pub(crate) struct Discovery {
    shared: Arc<Shared>,
    reports: Receiver<Report>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl Discovery {
    /// Starts the thread. `wake` is called when there is a report to
    /// [`take`](Self::take); `reopen` makes another connection.
    pub(crate) fn start(
        mut store: Client,
        reopen: Box<dyn FnMut() -> io::Result<Client> + Send>,
        wake: Box<dyn Fn() + Send>,
    ) -> io::Result<Self> {
        store.set_patience(PATIENCE);
        let shared = Arc::new(Shared::new()?);
        let (reports, received) = mpsc::sync_channel(REPORTS_MAX);
        let (alive, ended) = mpsc::sync_channel(0);
        let link = Link::new(Arc::clone(&shared), reports, wake);
        // The thread's messages go to the caller's subscriber.
        let messages = tracing::dispatcher::get_default(Clone::clone);
        thread::Builder::new()
            .name("xenstore".into())
            .spawn(move || {
                let _alive = alive;
                tracing::dispatcher::with_default(&messages, || {
                    Worker {
                        follower: Follower::new(store, link),
                        reopen,
                    }
                    .run();
                });
            })?;
        Ok(Self {
            shared,
            reports: received,
            ended,
        })
    }

    /// The next report.
    pub(crate) fn take(&self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    /// Requests that a console's pty is announced.
    pub(crate) fn announce(&self, key: Key, tty: String) {
        self.want(|wanted| wanted.ttys.extend([(key, Some(tty))]));
    }

    /// Requests that the name of a console's pty is removed.
    pub(crate) fn withdraw(&self, key: Key) {
        self.want(|wanted| wanted.ttys.extend([(key, None)]));
    }

    /// Requests a state of the backend.
    pub(crate) fn set_state(&self, key: Key, state: State) {
        self.want(|wanted| wanted.states.extend([(key, state)]));
    }

    /// Requests another report of a console.
    pub(crate) fn look(&self, key: Key) {
        self.want(|wanted| wanted.looks.extend([key]));
    }

    /// Asks for [`Report::Settled`].
    pub(crate) fn settle(&self) {
        self.want(|wanted| wanted.settle = true);
    }

    /// Ends the thread when it has carried out all requests, but waits no longer
    /// than `patience`.
    pub(crate) fn finish(self, patience: Duration) {
        self.want(|wanted| wanted.end = true);
        // The thread must not wait for reports to be taken.
        drop(self.reports);
        if self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("xenstore does not answer: ptys stay announced");
        }
    }

    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        self.shared.want(change);
    }
}

/// Follows xenstore until the end.
struct Worker {
    follower: Follower,
    reopen: Box<dyn FnMut() -> io::Result<Client> + Send>,
}

impl Worker {
    fn run(mut self) {
        let mut begun = self.follower.begin();
        loop {
            match begun.and_then(|()| self.follower.follow()) {
                Ok(()) if self.shared().is_ending() => return,
                Ok(()) => self.wait(true, self.follower.next()),
                Err(error) => {
                    tracing::warn!("xenstore: {error}; connecting again");
                    self.follower.lose();
                    if !self.reconnect() {
                        return;
                    }
                }
            }
            begun = Ok(());
        }
    }

    /// Replaces the connection; `false` at the end.
    fn reconnect(&mut self) -> bool {
        let mut pause = RETRY_FIRST;
        while !self.shared().is_ending() {
            let connected = (self.reopen)().and_then(|mut store| {
                store.set_patience(PATIENCE);
                self.follower.resume(store)
            });
            // A user who may not connect again keeps the old connection.
            let connected = connected.or_else(|error| {
                let went_on = self.follower.go_on();
                went_on.map_err(|_| error)
            });
            match connected {
                Ok(()) => {
                    tracing::warn!("xenstore: connected again");
                    return true;
                }
                Err(error) => tracing::info!("xenstore: {error}"),
            }
            let again = Instant::now() + pause;
            pause = (pause * 2).min(RETRY_LAST);
            while Instant::now() < again && !self.shared().is_ending() {
                self.wait(false, Some(again));
            }
        }
        false
    }

    /// Waits for the loop, for xenstore if `store`, and until a time.
    fn wait(&self, store: bool, until: Option<Instant>) {
        let timeout = until.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|left| Timespec::try_from(left).ok());
        let bell = PollFd::from_borrowed_fd(self.shared().bell(), PollFlags::IN);
        let fd = self.follower.store().as_fd();
        let mut fds = vec![bell];
        if store {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        // An interruption counts as a wake-up.
        let _woken = rustix::event::poll(&mut fds, timeout.as_ref());
    }

    fn shared(&self) -> &Shared {
        self.follower.shared()
    }
}
