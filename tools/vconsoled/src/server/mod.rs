// SPDX-License-Identifier: MIT
//! The event loop: waits for all events at once and gives each console its slice.
//! `domains` acts on xenstore's changes, `consoles` connects consoles, `names`
//! finds them by name, `left` keeps the last daemon's state for them, `status`
//! reports them, `requests` handles clients' requests with the rights of
//! `access`, `admission` and `attach` accept viewers, and `operators` is for
//! requests about other viewers.

mod accept_retry;
mod access;
mod admission;
mod attach;
mod audit;
mod channel_table;
mod channels;
mod consoles;
mod domains;
mod handle;
mod left;
mod logs;
mod names;
mod operators;
mod reload;
mod requests;
mod schedule;
mod setup;
mod status;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use xen_io::{DomId, EventChannels, Hypervisor, Port};

use crate::config::Config;
use crate::console::Console;
use crate::console::allowance::Allowance;
use crate::console::xen_log::XenLog;
use crate::guest::discovery::Discovery;
use crate::guest::nodes::Key;
use crate::ipc::control::Control;
use crate::ipc::endpoints::EndpointDir;
use crate::ipc::metrics::{self, Metrics, TcpMetrics};
use crate::persist::fd_store::FdStore;
use crate::persist::state_dir::StateDir;
use crate::service::notify::{Manager, Watchdog};
use crate::sink::audit::Audit;
use crate::sink::journal::Journal;
use crate::sink::log::Logs;
use crate::sink::pty::open_state::{OpenStates, Watch};

pub use handle::Handle;

use accept_retry::AcceptRetry;
use access::{Access, Identity};
use channel_table::Channels;
use domains::Failure;
use handle::Requests;
use left::Typed;
use schedule::Schedule;

const EVENT_CHANNELS: Token = Token(0);
const HANDLE: Token = Token(2);
const CONTROL: Token = Token(3);
const PTY_STATES: Token = Token(4);
const METRICS: Token = Token(5);
const METRICS_PORT: Token = Token(6);
/// The first free token.
const FIRST_FREE: usize = 16;

/// How long an orderly end waits for the disk. Output that is not in the logs by
/// then is left to the next daemon.
const LOGS_PATIENCE: Duration = Duration::from_secs(3);
/// How long it waits for the audit's file, and for each write to the journal.
const AUDIT_PATIENCE: Duration = Duration::from_secs(1);
/// How long it waits for xenstored to remove the ptys, and for the service
/// manager to take the stored descriptors.
const STORE_PATIENCE: Duration = Duration::from_secs(3);
const MANAGER_PATIENCE: Duration = Duration::from_secs(1);

/// How long a request waits for discovery's first reports: less than clients wait
/// for the answer.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// The answer while domains are not known.
const NOT_KNOWN: &str = "not known yet: xenstore does not answer";

/// The daemon.
pub struct Server {
    config: Config,
    access: Access,
    audit: Arc<Audit>,
    xen: Xen,
    guests: Guests,
    served: Served,
    channels: Channels,
    xen_log: Option<XenLog>,
    sinks: Sinks,
    ipc: Ipc,
    persist: Persist,
    schedule: Schedule,
    manager: Manager,
    watchdog: Watchdog,
    poll: Poll,
    next_token: usize,
    requests: Arc<Requests>,
    /// All consoles that existed at the start are served.
    begun: bool,
    /// The daemon ends: what is closed now is for the next daemon.
    ending: bool,
}

/// The connections to Xen.
struct Xen {
    hypervisor: Box<dyn Hypervisor>,
    events: Box<dyn EventChannels>,
}

/// The state of guests from xenstore.
struct Guests {
    discovery: Discovery,
    /// Some of its reports were not taken yet.
    reports_wait: bool,
    /// Its requests were carried out.
    settled: bool,
    /// It has read everything, and the connection is intact: there are no other
    /// domains.
    known: bool,
    domains: BTreeSet<DomId>,
    identities: BTreeMap<DomId, Identity>,
    failures: BTreeMap<Key, Failure>,
    /// When a fault of a secondary console was last reported.
    complained: BTreeMap<Key, Instant>,
}

/// Served consoles by token, and ports, also of channels.
#[derive(Default)]
struct Served {
    consoles: BTreeMap<usize, Console>,
    by_key: BTreeMap<Key, usize>,
    by_port: HashMap<Port, usize>,
}

/// The sinks of all consoles' output.
struct Sinks {
    logs: Logs,
    /// The thread of watch rules: it does not delay logs.
    watch: Logs,
    journal: Arc<Journal>,
    pty_states: Option<OpenStates>,
    watches: BTreeMap<usize, Watch>,
    allowance: Allowance,
}

/// The sockets for other programs.
struct Ipc {
    control: Option<Control>,
    metrics: Option<Metrics>,
    metrics_port: Option<TcpMetrics>,
    process: metrics::Process,
    endpoint_dir: Option<EndpointDir>,
    accept_retry: AcceptRetry,
    /// Until when clients of the control socket wait for discovery's first
    /// reports.
    control_waits: Option<Instant>,
    /// The console of a viewer's socket, or of a listening one.
    owners: HashMap<usize, usize>,
    /// When to check for idle sessions.
    idle_check: Option<Instant>,
}

/// State that outlives the daemon.
struct Persist {
    state_dir: StateDir,
    fd_store: FdStore,
    typed: Option<Typed>,
}

impl Server {
    /// A handle that controls the running server.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.requests))
    }

    /// Serves until it is stopped, or until the event channels are lost. `ready`
    /// is called when every existing console has been connected.
    pub fn run(mut self, ready: impl FnOnce()) -> io::Result<()> {
        let result = self.serve(ready);
        self.end();
        result
    }

    fn serve(&mut self, ready: impl FnOnce()) -> io::Result<()> {
        self.begin()?;
        ready();
        self.manager.ready();
        self.watchdog.begin();
        let mut happened = Events::with_capacity(256);
        while !self.is_stopping() {
            self.iterate(&mut happened, None)?;
        }
        self.manager.stopping();
        Ok(())
    }

    /// Connects every existing console. Together with [`step`](Self::step) and
    /// [`end`](Self::end) this does what [`run`](Self::run) does, for a program
    /// with its own loop.
    pub fn begin(&mut self) -> io::Result<()> {
        let mut happened = Events::with_capacity(256);
        // First all consoles are found and connected; then they are announced.
        for _ in 0..2 {
            self.guests.settled = false;
            self.guests.discovery.settle();
            while !self.guests.settled && !self.is_stopping() {
                self.iterate(&mut happened, None)?;
            }
        }
        if self.is_stopping() {
            return Ok(());
        }
        self.finish_orphans();
        self.set_retention();
        self.sinks.logs.begin();
        self.serve_all();
        Ok(())
    }

    /// Waits at most `patience` for events, and handles them.
    pub fn step(&mut self, patience: Duration) -> io::Result<()> {
        self.iterate(&mut Events::with_capacity(64), Some(patience))
    }

    /// Closes every console.
    pub fn end(mut self) {
        self.ending = true;
        let served: Vec<usize> = self.served.consoles.keys().copied().collect();
        for token in served {
            self.disconnect(token);
        }
        self.close_channels();
        self.xen_log = None;
        self.audit.record_end();
        self.guests.discovery.finish(STORE_PATIENCE);
        self.manager.finish(MANAGER_PATIENCE);
        self.sinks.logs.finish(LOGS_PATIENCE);
        self.sinks.watch.finish(AUDIT_PATIENCE);
        self.audit.finish(AUDIT_PATIENCE);
    }

    fn iterate(&mut self, happened: &mut Events, patience: Option<Duration>) -> io::Result<()> {
        self.wait(happened, patience)?;
        let mut ports = Vec::new();
        self.go_on_admitting();
        for event in &*happened {
            self.on_readiness(event, &mut ports)?;
        }
        self.follow_discovery();
        let reload = self.requests.reload().take();
        if let Some(config) = reload {
            self.reload(config);
            self.reopen_logs();
        } else if self.requests.reopen_logs.swap(false, Ordering::AcqRel) {
            self.reopen_logs();
        }
        self.on_time(Instant::now());
        self.run_slices();
        self.xen_log_slice();
        let now = Instant::now();
        self.manager.on_time(now);
        self.watchdog.tick(&self.manager, now);
        Ok(())
    }

    /// Handles the end of the first discovery.
    fn serve_all(&mut self) {
        self.schedule.ready.extend(self.served.consoles.keys());
        self.begun = true;
        self.forget_left();
        self.sweep_endpoints();
        self.publish_names();
    }

    fn on_readiness(&mut self, event: &mio::event::Event, ports: &mut Vec<Port>) -> io::Result<()> {
        match event.token() {
            EVENT_CHANNELS => self.on_ports(ports)?,
            HANDLE => self.guests.reports_wait = true,
            CONTROL => self.admit_to_control(),
            METRICS => self.admit_to_metrics(),
            METRICS_PORT => self.admit_to_metrics_port(),
            PTY_STATES => self.on_pty_states()?,
            token => {
                if let Some(console) = self.served.consoles.get_mut(&token.0) {
                    console.on_pty(event.is_readable(), event.is_writable());
                    if event.is_read_closed() {
                        self.look_at_pty(token.0);
                    }
                    self.schedule.ready.push(token.0);
                } else if let Some(owner) = self.ipc.owners.get(&token.0) {
                    self.on_client(*owner, event);
                } else if self.on_channel(event) {
                    // Its slice follows.
                } else {
                    self.serve_client(token);
                }
            }
        }
        Ok(())
    }

    fn on_ports(&mut self, ports: &mut Vec<Port>) -> io::Result<()> {
        ports.clear();
        if let Err(error) = self.xen.events.pending(ports) {
            // The kernel lost notifications: any port may have been notified.
            if error.kind() != io::ErrorKind::FileTooLarge {
                return Err(error);
            }
            tracing::warn!("event channels: {error}; looking at every console");
            ports.extend(self.served.by_port.keys());
            ports.extend(self.xen_log.as_ref().map(XenLog::port));
        }
        for port in ports {
            // A closed port may still be listed.
            let Some(token) = self.served.by_port.get(port) else {
                if let Some(xen_log) = &mut self.xen_log {
                    xen_log.on_event(*port);
                }
                continue;
            };
            if let Some(console) = self.served.consoles.get_mut(token) {
                console.on_event();
            } else if let Some(channel) = self.channels.get_mut(*token) {
                channel.on_event();
            }
            self.schedule.ready.push(*token);
        }
        Ok(())
    }

    fn on_pty_states(&mut self) -> io::Result<()> {
        let Some(pty_states) = &mut self.sinks.pty_states else {
            return Ok(());
        };
        for token in pty_states.opened()? {
            self.look_at_pty(token);
            if self.served.consoles.contains_key(&token) {
                self.schedule.ready.push(token);
            }
        }
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.requests.stop.load(Ordering::Acquire)
    }

    /// Runs a slice of the Xen log if it is due.
    fn xen_log_slice(&mut self) {
        let Some(xen_log) = self.xen_log.as_mut().filter(|one| one.is_due()) else {
            return;
        };
        if let Err(error) =
            xen_log.run_slice(self.xen.hypervisor.as_ref(), self.xen.events.as_mut())
        {
            tracing::error!("the hypervisor's messages are not logged any more: {error}");
            self.xen_log = None;
        }
    }

    fn lose(&mut self, token: usize, why: &io::Error) {
        let Some(console) = self.served.consoles.get(&token) else {
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

fn take_token(next: &mut usize) -> Token {
    *next += 1;
    Token(*next)
}
