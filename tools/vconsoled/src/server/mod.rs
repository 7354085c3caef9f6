// SPDX-License-Identifier: MIT
//! The event loop: waits for everything at once and gives each console its
//! slice. `domains` follows xenstore, `consoles` connects what it names, `status`
//! tells of it, `requests` does what clients ask for, `admission` lets viewers
//! in.

mod accept_retry;
mod admission;
mod channels;
mod consoles;
mod domains;
mod requests;
mod status;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use xen_io::xenstore::Client;
use xen_io::{DomId, EventChannels, Hypervisor, Platform, Port};

use crate::config::Config;
use crate::confine::InForce;
use crate::console::Console;
use crate::console::xen_log::XenLog;
use crate::guest::nodes::{self, Slot};
use crate::guest::xenbus;
use crate::input::journal::{self, InputJournal};
use crate::ipc::control::Control;
use crate::ipc::endpoints::EndpointDir;
use crate::ipc::listener::Access;
use crate::ipc::metrics::{self, Metrics};
use crate::persist::fd_store::FdStore;
use crate::persist::state_dir::StateDir;
use crate::ring::Next;
use crate::service::notify::{self, Watchdog};
use crate::sink::journal::Journal;
use crate::sink::log::Logs;
use crate::sink::pty::open_state::{Change, OpenStates, Watch};

use accept_retry::AcceptRetry;
use channels::{BACKENDS, Channels};
use domains::{Failure, INTRODUCED, RELEASED};

const EVENT_CHANNELS: Token = Token(0);
const STORE: Token = Token(1);
const HANDLE: Token = Token(2);
const CONTROL: Token = Token(3);
const PTY_STATES: Token = Token(4);
const METRICS: Token = Token(5);
/// The first token that is given out.
const FIRST_FREE: usize = 16;

/// How long an orderly end waits for the disk. What is not in the logs by then
/// is left to the next daemon.
const LOGS_PATIENCE: Duration = Duration::from_secs(3);

/// Tells a running [`Server`] what to do, from any thread.
#[derive(Clone)]
pub struct Handle(Arc<Requests>);

struct Requests {
    waker: Waker,
    stop: AtomicBool,
    reopen_logs: AtomicBool,
}

impl Handle {
    /// Ends [`Server::run`] in an orderly way.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Opens all logs again, after they were moved away.
    pub fn reopen_logs(&self) {
        self.0.reopen_logs.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Err(error) = self.0.waker.wake() {
            tracing::error!("the event loop cannot be woken: {error}");
        }
    }
}

type Key = (DomId, Slot);

/// The daemon.
pub struct Server {
    config: Config,
    state_dir: StateDir,
    logs: Logs,
    fd_store: FdStore,
    input_journal: Option<Arc<InputJournal>>,
    /// What is let go of now is for the next daemon.
    ending: bool,
    journal: Arc<Journal>,
    hypervisor: Box<dyn Hypervisor>,
    events: Box<dyn EventChannels>,
    store: Client,
    store_ready: bool,
    poll: Poll,
    requests: Arc<Requests>,
    control: Option<Control>,
    metrics: Option<Metrics>,
    process: metrics::Process,
    sockets: Option<EndpointDir>,
    pty_states: Option<OpenStates>,
    xen_log: Option<XenLog>,
    watchdog: Watchdog,
    next_token: usize,
    domains: BTreeSet<DomId>,
    consoles: BTreeMap<usize, Console>,
    watches: BTreeMap<usize, Watch>,
    by_key: BTreeMap<Key, usize>,
    by_port: HashMap<Port, usize>,
    /// The console that a viewer's socket, or a listening one, belongs to.
    owners: HashMap<usize, usize>,
    failures: BTreeMap<Key, Failure>,
    channels: Channels,
    accept_retry: AcceptRetry,
    /// Consoles and channels that are to have a turn, some of them twice.
    ready: Vec<usize>,
    /// Those that have theirs, kept for its memory.
    running: Vec<usize>,
    timers: HashMap<usize, Instant>,
}

impl Server {
    /// Prepares to serve; nothing is touched yet but the control socket.
    pub fn new(platform: Platform, config: Config) -> io::Result<Self> {
        let Platform {
            hypervisor,
            mut events,
            store,
        } = platform;
        let poll = Poll::new()?;
        let registry = poll.registry();
        let requests = Requests {
            waker: Waker::new(registry, HANDLE)?,
            stop: AtomicBool::new(false),
            reopen_logs: AtomicBool::new(false),
        };
        let control = match &config.sockets.control {
            Some(path) => {
                let access = Access {
                    mode: config.sockets.control_mode,
                    group: config.sockets.group.as_deref(),
                };
                Some(Control::listen(path, access, registry, CONTROL)?)
            }
            None => None,
        };
        let metrics = match &config.sockets.metrics {
            Some(path) => {
                let access = Access {
                    mode: config.sockets.metrics_mode,
                    group: config.sockets.group.as_deref(),
                };
                Some(Metrics::listen(path, access, registry, METRICS)?)
            }
            None => None,
        };
        // Only after the control socket: there is no other daemon.
        let sockets = match &config.sockets.consoles {
            Some(path) => Some(EndpointDir::open(path).map_err(|error| {
                let what = format!("{}: {error}", path.display());
                io::Error::new(error.kind(), what)
            })?),
            None => None,
        };
        // Without it output goes to the pty whether anybody has it open.
        let pty_states = OpenStates::new()
            .inspect_err(|error| tracing::warn!("viewers cannot be counted: {error}"))
            .ok();
        let state_dir = StateDir::new(config.state_dir.clone());
        let logs = Logs::start()?;
        let journal = Journal::at(&config.log.journal_socket)?;
        let xen_log = config.log.hypervisor.then(|| {
            XenLog::open(&config, &state_dir, &logs, events.as_mut())
                .inspect_err(|error| {
                    tracing::error!("the hypervisor's messages are not logged: {error}");
                })
                .ok()
        });
        let mut fd_store = FdStore::inherited();
        let server = Self {
            config,
            state_dir,
            input_journal: open_input_journal(&mut fd_store),
            fd_store,
            ending: false,
            logs,
            journal,
            hypervisor,
            events,
            store,
            store_ready: false,
            requests: Arc::new(requests),
            control,
            metrics,
            process: metrics::Process::default(),
            sockets,
            pty_states,
            xen_log: xen_log.flatten(),
            watchdog: Watchdog::new(),
            next_token: FIRST_FREE,
            domains: BTreeSet::new(),
            consoles: BTreeMap::new(),
            watches: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_port: HashMap::new(),
            owners: HashMap::new(),
            failures: BTreeMap::new(),
            channels: Channels::default(),
            accept_retry: AcceptRetry::default(),
            ready: Vec::new(),
            running: Vec::new(),
            timers: HashMap::new(),
            poll,
        };
        server.register(&server.events, EVENT_CHANNELS)?;
        server.register(&server.store, STORE)?;
        if let Some(pty_states) = &server.pty_states {
            server.register(pty_states, PTY_STATES)?;
        }
        Ok(server)
    }

    /// What the process gave up, to be told with the counters.
    #[must_use]
    pub fn with_in_force(mut self, in_force: InForce) -> Self {
        self.process.in_force = Some(in_force);
        self
    }

    /// A way to reach the server while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.requests))
    }

    /// Serves until told to stop, or until xenstore or the event channels are
    /// lost. `ready` is called when every console there is has been connected.
    pub fn run(mut self, ready: impl FnOnce()) -> io::Result<()> {
        let result = self.serve(ready);
        self.end();
        result
    }

    fn serve(&mut self, ready: impl FnOnce()) -> io::Result<()> {
        self.begin()?;
        ready();
        notify::ready();
        let mut happened = Events::with_capacity(256);
        while !self.is_stopping() {
            self.iterate(&mut happened, None)?;
        }
        notify::stopping();
        Ok(())
    }

    /// Connects every console there is. With [`step`](Self::step) and
    /// [`end`](Self::end), what [`run`](Self::run) does, for a program with a
    /// loop of its own.
    pub fn begin(&mut self) -> io::Result<()> {
        self.store.watch("@introduceDomain", INTRODUCED)?;
        self.store.watch("@releaseDomain", RELEASED)?;
        self.store.watch(&nodes::backends(), BACKENDS)?;
        xenbus::offer(&mut self.store)?;
        self.follow_store()?;
        self.finish_orphans();
        self.take_no_more();
        Ok(())
    }

    /// Waits at most `patience` for something to do, and does it.
    pub fn step(&mut self, patience: Duration) -> io::Result<()> {
        self.iterate(&mut Events::with_capacity(64), Some(patience))
    }

    /// Lets go of every console.
    pub fn end(mut self) {
        self.ending = true;
        let served: Vec<usize> = self.consoles.keys().copied().collect();
        for token in served {
            self.disconnect(token);
        }
        self.close_channels();
        self.xen_log = None;
        self.logs.finish(LOGS_PATIENCE);
    }

    fn iterate(&mut self, happened: &mut Events, patience: Option<Duration>) -> io::Result<()> {
        if std::mem::take(&mut self.store_ready) || self.store.has_read_ahead() {
            self.follow_store()?;
        }
        self.wait(happened, patience)?;
        let mut ports = Vec::new();
        for event in &*happened {
            self.on_readiness(event, &mut ports)?;
        }
        if self.requests.reopen_logs.swap(false, Ordering::AcqRel) {
            notify::reloading();
            self.logs.reopen();
            notify::ready();
        }
        self.on_time(Instant::now());
        self.run_slices();
        self.xen_log_slice();
        self.watchdog.tick(Instant::now());
        Ok(())
    }

    /// Whatever the last daemon left has found its place, or will not.
    fn take_no_more(&mut self) {
        self.fd_store.remove_rest();
        if let Some(input_journal) = &self.input_journal {
            input_journal.done();
        }
        self.sweep_endpoints();
    }

    fn wait(&mut self, happened: &mut Events, patience: Option<Duration>) -> io::Result<()> {
        let due = self.xen_log.as_ref().is_some_and(XenLog::is_due);
        let timeout = if self.ready.is_empty() && !due {
            let retries = self.failures.values().map(|failure| failure.again);
            let looks = self.channels.next_due().into_iter();
            let next = self.timers.values().copied();
            let next = next.chain(retries).chain(looks);
            let next = next.chain(self.accept_retry.next());
            let next = next.chain(self.watchdog.next()).min();
            let next = next.map(|at| at.saturating_duration_since(Instant::now()));
            next.into_iter().chain(patience).min()
        } else {
            Some(Duration::ZERO)
        };
        match self.poll.poll(happened, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn on_readiness(&mut self, event: &mio::event::Event, ports: &mut Vec<Port>) -> io::Result<()> {
        match event.token() {
            EVENT_CHANNELS => self.on_ports(ports)?,
            STORE => self.store_ready = true,
            HANDLE => {}
            CONTROL => self.admit_to_control(),
            METRICS => self.admit_to_metrics(),
            PTY_STATES => self.on_pty_states()?,
            token => {
                if let Some(console) = self.consoles.get_mut(&token.0) {
                    console.on_pty(event.is_readable(), event.is_writable());
                    self.ready.push(token.0);
                } else if let Some(owner) = self.owners.get(&token.0) {
                    self.on_client(*owner, event);
                } else if self.on_channel(event) {
                    // Its turn comes.
                } else if let Some(mut control) = self.control.take() {
                    let attach = control.serve(token, self.poll.registry(), |request| {
                        self.handle_request(request)
                    });
                    self.control = Some(control);
                    if let Some((stream, line)) = attach {
                        self.attach(stream, &line);
                    }
                }
                if let Some(mut metrics) = self.metrics.take() {
                    metrics.serve(token, || self.metrics_text());
                    self.metrics = Some(metrics);
                }
            }
        }
        Ok(())
    }

    fn on_ports(&mut self, ports: &mut Vec<Port>) -> io::Result<()> {
        ports.clear();
        if let Err(error) = self.events.pending(ports) {
            // The kernel lost count of who was notified: it may be anyone.
            if error.kind() != io::ErrorKind::FileTooLarge {
                return Err(error);
            }
            tracing::warn!("event channels: {error}; looking at every console");
            ports.extend(self.by_port.keys());
            ports.extend(self.xen_log.as_ref().map(XenLog::port));
        }
        for port in ports {
            // A port that was closed may still be listed.
            let Some(token) = self.by_port.get(port) else {
                if let Some(messages) = &mut self.xen_log {
                    messages.on_event(*port);
                }
                continue;
            };
            if let Some(console) = self.consoles.get_mut(token) {
                console.on_event();
            } else if let Some(channel) = self.channels.get_mut(*token) {
                channel.on_event();
            }
            self.ready.push(*token);
        }
        Ok(())
    }

    fn on_pty_states(&mut self) -> io::Result<()> {
        let Some(pty_states) = &mut self.pty_states else {
            return Ok(());
        };
        for change in pty_states.changes()? {
            let (token, change) = match change {
                Change::Opened(token) => (token, 1),
                Change::Closed(token) => (token, -1),
                Change::Unknown => {
                    // Better to write for nobody than to keep from somebody.
                    for (token, console) in &mut self.consoles {
                        console.set_pty_opens(console.pty_opens().max(1));
                        self.ready.push(*token);
                    }
                    continue;
                }
            };
            if let Some(console) = self.consoles.get_mut(&token) {
                console.set_pty_opens(console.pty_opens().saturating_add_signed(change));
                self.ready.push(token);
            }
        }
        Ok(())
    }

    fn on_time(&mut self, now: Instant) {
        self.retry_accept(now);
        self.timers.retain(|token, at| {
            if *at <= now {
                self.ready.push(*token);
            }
            *at > now
        });
        let due: Vec<Key> = self
            .failures
            .iter()
            .filter(|(_, failure)| failure.again <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in due.into_iter().chain(self.channels.due(now)) {
            if self.is_due(key, now) {
                self.examine(key);
            }
        }
    }

    /// Gives every console that is ready one turn.
    fn run_slices(&mut self) {
        let mut running = std::mem::take(&mut self.running);
        running.append(&mut self.ready);
        running.sort_unstable();
        running.dedup();
        let now = Instant::now();
        for token in running.drain(..) {
            let events = self.events.as_mut();
            let turned = if let Some(console) = self.consoles.get_mut(&token) {
                let turned = console.run_slice(events, now);
                let turned = turned.and_then(|next| {
                    watch_for_room(self.poll.registry(), token, console)?;
                    Ok(next)
                });
                let left = console.clients.take_closed();
                self.forget_closed(left);
                turned
            } else if let Some(channel) = self.channels.get_mut(token) {
                channel.run_slice(events, now)
            } else {
                continue;
            };
            match turned {
                Ok(Next::Wait) => {}
                Ok(Next::Again) => self.ready.push(token),
                Ok(Next::At(at)) => {
                    self.timers.insert(token, at);
                }
                Err(error) => self.lose(token, &error),
            }
        }
        self.running = running;
    }

    fn is_stopping(&self) -> bool {
        self.requests.stop.load(Ordering::Acquire)
    }

    /// Gives the hypervisor's messages a turn, if there may be some.
    fn xen_log_slice(&mut self) {
        let Some(messages) = self.xen_log.as_mut().filter(|messages| messages.is_due()) else {
            return;
        };
        if let Err(error) = messages.run_slice(self.hypervisor.as_ref(), self.events.as_mut()) {
            tracing::error!("the hypervisor's messages are not logged any more: {error}");
            self.xen_log = None;
        }
    }

    fn lose(&mut self, token: usize, why: &io::Error) {
        let Some(console) = self.consoles.get(&token) else {
            return self.lose_channel(token, why);
        };
        let key = (console.domid, console.slot);
        self.disconnect(token);
        self.fail(key, format!("lost: {why}"));
    }

    fn register(&self, source: &impl AsFd, token: Token) -> io::Result<()> {
        let raw = source.as_fd().as_raw_fd();
        self.poll
            .registry()
            .register(&mut SourceFd(&raw), token, Interest::READABLE)
    }
}

/// The way for what is typed, if anybody keeps it.
fn open_input_journal(fd_store: &mut FdStore) -> Option<Arc<InputJournal>> {
    if !fd_store.is_possible() {
        return None;
    }
    let left = fd_store.take(journal::NAME);
    if !left.is_empty() {
        match InputJournal::resume(left) {
            Ok(input_journal) => return Some(Arc::new(input_journal)),
            Err(error) => tracing::warn!("not what the last daemon left: {error}"),
        }
        fd_store.remove(journal::NAME);
    }
    let input_journal = InputJournal::new()
        .inspect_err(|error| tracing::warn!("what is typed may be lost: {error}"))
        .ok()?;
    fd_store.store(journal::NAME, &input_journal.fds());
    Some(Arc::new(input_journal))
}

/// Has the poll tell of room in a console's pty while there is output waiting
/// for it, and only then: a viewer who keeps up makes room with each read.
fn watch_for_room(registry: &Registry, token: usize, console: &mut Console) -> io::Result<()> {
    let interest = match console.asks_for_room() {
        Some(true) => Interest::READABLE | Interest::WRITABLE,
        Some(false) => Interest::READABLE,
        None => return Ok(()),
    };
    let raw = console.pty().as_fd().as_raw_fd();
    registry.reregister(&mut SourceFd(&raw), Token(token), interest)
}

fn take_token(next: &mut usize) -> Token {
    *next += 1;
    Token(*next)
}
