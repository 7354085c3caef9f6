// SPDX-License-Identifier: MIT
//! Opens the daemon's files and sockets before it serves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use mio::{Interest, Poll, Registry, Waker};
use xen_io::Platform;

use super::accept_retry::AcceptRetry;
use super::access::{self, Access};
use super::channel_table::Channels;
use super::handle::{Handle, Requests};
use super::left::Typed;
use super::schedule::Schedule;
use super::{
    CONTROL, EVENT_CHANNELS, FIRST_FREE, FIRST_LOOK, Guests, HANDLE, Ipc, METRICS, METRICS_PORT,
    PTY_STATES, Persist, Served, Server, Sinks, Xen,
};
use crate::access::Found;
use crate::config::Config;
use crate::confine::InForce;
use crate::console::allowance::Allowance;
use crate::console::xen_log::XenLog;
use crate::guest::discovery::Discovery;
use crate::ipc::control::Control;
use crate::ipc::endpoints::EndpointDir;
use crate::ipc::listener;
use crate::ipc::metrics::{self, Metrics, TcpMetrics};
use crate::persist::fd_store::FdStore;
use crate::persist::state_dir::StateDir;
use crate::service::notify::{Manager, Watchdog};
use crate::sink::audit::{Audit, Event};
use crate::sink::journal::Journal;
use crate::sink::log::Logs;
use crate::sink::pty::open_state::OpenStates;

impl Server {
    /// Prepares to serve; no console is connected yet.
    pub fn new(platform: Platform, config: Config) -> io::Result<Self> {
        let Platform {
            hypervisor,
            mut events,
            store,
            reopen_store,
        } = platform;
        let found = Found::of(&config.access);
        for missing in &found.missing {
            tracing::warn!("{missing}; it grants nothing");
        }
        let rules = access::rules(&config, found)?;
        let poll = Poll::new()?;
        let registry = poll.registry();
        let requests = Arc::new(Requests::new(Waker::new(registry, HANDLE)?));
        let (control, metrics) = listen(&config, registry)?;
        // After the control socket, which proves that no other daemon runs.
        let endpoint_dir = match &config.sockets.consoles {
            Some(path) => Some(EndpointDir::open(path, !config.access.is_empty()).map_err(
                |error| {
                    let what = format!("{}: {error}", path.display());
                    io::Error::new(error.kind(), what)
                },
            )?),
            None => None,
        };
        // Without it output is written to the pty whether it is open or not.
        let pty_states = OpenStates::new()
            .inspect_err(|error| tracing::warn!("ptys cannot be watched: {error}"))
            .ok();
        let state_dir = StateDir::new(config.state_dir.clone());
        let logs = Logs::start("logs")?;
        let watch = Logs::start("watch")?;
        let journal = Journal::at(&config.log.journal_socket)?;
        let audit = start_audit(&config, &journal)?;
        let xen_log = config.log.hypervisor.then(|| {
            XenLog::open(&config, &state_dir, &logs, events.as_mut())
                .inspect_err(|error| {
                    tracing::error!("the hypervisor's messages are not logged: {error}");
                })
                .ok()
        });
        let manager = Manager::of_environment();
        let mut fd_store = FdStore::inherited(manager.clone());
        let handle = Handle(Arc::clone(&requests));
        let discovery = Discovery::start(store, reopen_store, Box::new(move || handle.wake()))?;
        let server = Self {
            config,
            access: Access::new(rules),
            audit: Arc::new(audit),
            xen: Xen { hypervisor, events },
            guests: Guests {
                discovery,
                reports_wait: false,
                settled: false,
                known: false,
                domains: BTreeSet::new(),
                identities: BTreeMap::new(),
                failures: BTreeMap::new(),
                complained: BTreeMap::new(),
            },
            served: Served::default(),
            channels: Channels::default(),
            xen_log: xen_log.flatten(),
            sinks: Sinks {
                logs,
                watch,
                journal,
                pty_states,
                watches: BTreeMap::new(),
                allowance: Allowance::default(),
            },
            ipc: Ipc {
                control,
                metrics,
                metrics_port: None,
                process: metrics::Process::default(),
                endpoint_dir,
                accept_retry: AcceptRetry::default(),
                control_waits: Some(Instant::now() + FIRST_LOOK),
                owners: HashMap::new(),
                idle_check: None,
            },
            persist: Persist {
                state_dir,
                typed: Typed::open(&mut fd_store),
                fd_store,
            },
            schedule: Schedule::default(),
            manager,
            watchdog: Watchdog::new(),
            poll,
            next_token: FIRST_FREE,
            requests,
            begun: false,
            ending: false,
        };
        server.register(&server.xen.events, EVENT_CHANNELS)?;
        if let Some(pty_states) = &server.sinks.pty_states {
            server.register(pty_states, PTY_STATES)?;
        }
        Ok(server)
    }

    /// The confinement of the process, for the metrics.
    #[must_use]
    pub fn with_in_force(mut self, in_force: InForce) -> Self {
        self.ipc.process.in_force = Some(in_force);
        self
    }

    /// Serves the metrics at a port without access control; it was opened before
    /// the confinement.
    pub fn with_metrics_port(mut self, port: std::net::TcpListener) -> io::Result<Self> {
        port.set_nonblocking(true)?;
        let mut port = TcpListener::from_std(port);
        let registry = self.poll.registry();
        registry.register(&mut port, METRICS_PORT, Interest::READABLE)?;
        self.ipc.metrics_port = Some(TcpMetrics::at(port));
        Ok(self)
    }

    /// Sets how long clients of the control socket wait for discovery's first
    /// reports; two seconds by default.
    #[must_use]
    pub fn with_first_look(mut self, patience: Duration) -> Self {
        self.ipc.control_waits = Some(Instant::now() + patience);
        self
    }
}

fn start_audit(config: &Config, journal: &Arc<Journal>) -> io::Result<Audit> {
    let config = &config.audit;
    let audit = Audit::start(Arc::clone(journal), config.file.as_deref())?;
    audit.set_journal(config.journal);
    audit.set_limit(config.rate, config.burst);
    audit.record(Event::new("started").with("version", env!("CARGO_PKG_VERSION")));
    Ok(audit)
}

/// The control socket and the metrics socket, if configured.
fn listen(config: &Config, registry: &Registry) -> io::Result<(Option<Control>, Option<Metrics>)> {
    let sockets = &config.sockets;
    let access = |mode| listener::Access {
        mode,
        group: sockets.group.as_deref(),
    };
    // The control socket comes first: if it is taken, no other socket is opened.
    let control = sockets.control.as_deref().map(|path| {
        Control::listen(
            path,
            access(config.socket_mode(sockets.control_mode)),
            registry,
            CONTROL,
        )
    });
    let control = control.transpose()?;
    let metrics = sockets
        .metrics
        .as_deref()
        .map(|path| Metrics::listen(path, access(sockets.metrics_mode), registry, METRICS));
    Ok((control, metrics.transpose()?))
}
