// SPDX-License-Identifier: MIT
//! The event loop: finds consoles, connects them, gives each its turn.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use xen_io::xenstore::{Client, domain_path};
use xen_io::{DomId, EventChannels, Hypervisor, Platform, Port};

use crate::console::{Console, Link, Next, Overflow};
use crate::control::{ConsoleStatus, Control, Status};
use crate::log::{self, Log, Style};
use crate::pty::Pty;
use crate::source::{Slot, Source};
use crate::viewers::{Change, Viewers, Watch};

const EVENT_CHANNELS: Token = Token(0);
const STORE: Token = Token(1);
const HANDLE: Token = Token(2);
const CONTROL: Token = Token(3);
const VIEWERS: Token = Token(4);
/// The first token that is given out.
const FIRST_FREE: usize = 16;

/// The token of the watches on domains coming and going; the others are
/// `DOMID/SLOT`.
const DOMAINS: &str = "domains";

/// How long to wait before connecting again after a failure: at first, and at
/// most.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// What the operator decides.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where logs go; none are written without it.
    pub log_dir: Option<PathBuf>,
    /// How logs are written.
    pub log_style: Style,
    /// What happens to output that nobody takes.
    pub overflow: Overflow,
    /// Where the control socket is; there is none without it.
    pub control: Option<PathBuf>,
}

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

/// A console that could not be connected.
struct Failure {
    why: String,
    again: Instant,
    pause: Duration,
}

/// The daemon.
pub struct Server {
    config: Config,
    hypervisor: Box<dyn Hypervisor>,
    events: Box<dyn EventChannels>,
    store: Client,
    poll: Poll,
    requests: Arc<Requests>,
    control: Option<Control>,
    viewers: Option<Viewers>,
    next_token: usize,
    domains: BTreeSet<DomId>,
    consoles: BTreeMap<usize, Console>,
    watches: BTreeMap<usize, Watch>,
    by_key: BTreeMap<Key, usize>,
    by_port: HashMap<Port, usize>,
    failures: BTreeMap<Key, Failure>,
    ready: VecDeque<usize>,
    timers: BTreeMap<usize, Instant>,
}

impl Server {
    /// Prepares to serve; nothing is touched yet but the control socket.
    pub fn new(platform: Platform, config: Config) -> io::Result<Self> {
        let Platform {
            hypervisor,
            events,
            store,
        } = platform;
        let poll = Poll::new()?;
        let registry = poll.registry();
        let requests = Requests {
            waker: Waker::new(registry, HANDLE)?,
            stop: AtomicBool::new(false),
            reopen_logs: AtomicBool::new(false),
        };
        let control = match &config.control {
            Some(path) => Some(Control::listen(path, registry, CONTROL)?),
            None => None,
        };
        // Without it output goes to the pty whether anybody has it open.
        let viewers = Viewers::new()
            .inspect_err(|error| tracing::warn!("viewers cannot be counted: {error}"))
            .ok();
        let server = Self {
            config,
            hypervisor,
            events,
            store,
            requests: Arc::new(requests),
            control,
            viewers,
            next_token: FIRST_FREE,
            domains: BTreeSet::new(),
            consoles: BTreeMap::new(),
            watches: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_port: HashMap::new(),
            failures: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            poll,
        };
        server.register(&server.events, EVENT_CHANNELS)?;
        server.register(&server.store, STORE)?;
        if let Some(viewers) = &server.viewers {
            server.register(viewers, VIEWERS)?;
        }
        Ok(server)
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
        let served: Vec<usize> = self.consoles.keys().copied().collect();
        for token in served {
            self.disconnect(token);
        }
        result
    }

    fn serve(&mut self, ready: impl FnOnce()) -> io::Result<()> {
        self.store.watch("@introduceDomain", DOMAINS)?;
        self.store.watch("@releaseDomain", DOMAINS)?;
        self.follow_store()?;
        ready();
        let mut happened = Events::with_capacity(256);
        let mut ports = Vec::new();
        while !self.requests.stop.load(Ordering::Acquire) {
            // Requests of the last turn may have queued events that the
            // descriptor does not tell of any more.
            self.follow_store()?;
            self.wait(&mut happened)?;
            for event in &happened {
                self.on_readiness(event, &mut ports)?;
            }
            if self.requests.reopen_logs.swap(false, Ordering::AcqRel) {
                self.reopen_logs();
            }
            self.on_time(Instant::now());
            self.turns();
        }
        Ok(())
    }

    fn wait(&mut self, happened: &mut Events) -> io::Result<()> {
        let timeout = if self.ready.is_empty() {
            let retries = self.failures.values().map(|failure| failure.again);
            let next = self.timers.values().copied().chain(retries).min();
            next.map(|at| at.saturating_duration_since(Instant::now()))
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
            STORE | HANDLE => {}
            CONTROL => {
                let (registry, next) = (self.poll.registry(), &mut self.next_token);
                if let Some(control) = &mut self.control {
                    control.accept(registry, || take_token(next));
                }
            }
            VIEWERS => self.on_viewers()?,
            token => {
                if let Some(console) = self.consoles.get_mut(&token.0) {
                    console.on_pty(event.is_readable(), event.is_writable());
                    self.ready.push_back(token.0);
                } else if let Some(mut control) = self.control.take() {
                    control.serve(token, || self.status());
                    self.control = Some(control);
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
        }
        for port in ports {
            // A port that was closed may still be listed.
            let Some(token) = self.by_port.get(port) else {
                continue;
            };
            if let Some(console) = self.consoles.get_mut(token) {
                console.on_event();
                self.ready.push_back(*token);
            }
        }
        Ok(())
    }

    fn on_viewers(&mut self) -> io::Result<()> {
        let Some(viewers) = &mut self.viewers else {
            return Ok(());
        };
        for change in viewers.changes()? {
            let (token, change) = match change {
                Change::Came(token) => (token, 1),
                Change::Left(token) => (token, -1),
                Change::Unknown => {
                    // Better to write for nobody than to keep from somebody.
                    for (token, console) in &mut self.consoles {
                        console.set_viewers(console.viewers().max(1));
                        self.ready.push_back(*token);
                    }
                    continue;
                }
            };
            if let Some(console) = self.consoles.get_mut(&token) {
                console.set_viewers(console.viewers().saturating_add_signed(change));
                self.ready.push_back(token);
            }
        }
        Ok(())
    }

    fn on_time(&mut self, now: Instant) {
        self.timers.retain(|token, at| {
            if *at <= now {
                self.ready.push_back(*token);
            }
            *at > now
        });
        let due: Vec<Key> = self
            .failures
            .iter()
            .filter(|(_, failure)| failure.again <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            self.examine(key);
        }
    }

    /// Gives every console that is ready one turn.
    fn turns(&mut self) {
        let ready: BTreeSet<usize> = self.ready.drain(..).collect();
        let now = Instant::now();
        for token in ready {
            let Some(console) = self.consoles.get_mut(&token) else {
                continue;
            };
            match console.turn(self.events.as_mut(), now) {
                Ok(Next::Wait) => {}
                Ok(Next::Again) => self.ready.push_back(token),
                Ok(Next::At(at)) => {
                    self.timers.insert(token, at);
                }
                Err(error) => {
                    let key = (console.domid, console.slot);
                    self.disconnect(token);
                    self.fail(key, format!("lost: {error}"));
                }
            }
        }
    }

    /// Does what xenstore's events ask for, until there are none.
    fn follow_store(&mut self) -> io::Result<()> {
        loop {
            let mut changed = BTreeSet::new();
            let mut domains = false;
            while let Some(event) = self.store.next_event()? {
                match parse_token(&event.token) {
                    // Our own doing.
                    Some(_) if event.path.ends_with("/tty") => {}
                    Some(key) => drop(changed.insert(key)),
                    None => domains = true,
                }
            }
            if !domains && changed.is_empty() {
                return Ok(());
            }
            if domains {
                self.count_domains()?;
            }
            for key in changed {
                if self.domains.contains(&key.0) {
                    self.examine(key);
                }
            }
        }
    }

    /// Takes up domains that came and lets go of those that went.
    fn count_domains(&mut self) -> io::Result<()> {
        let known: Vec<DomId> = self.domains.iter().copied().collect();
        for domid in known {
            if !self.store.is_introduced(domid)? {
                self.forget(domid)?;
            }
        }
        for name in self.store.directory("/local/domain")?.unwrap_or_default() {
            let Some(domid) = name
                .parse()
                .ok()
                .filter(|id| (1..DomId::FIRST_RESERVED).contains(id))
            else {
                continue;
            };
            let domid = DomId(domid);
            if !self.domains.contains(&domid) && self.store.is_introduced(domid)? {
                tracing::info!("domain {domid} came");
                self.domains.insert(domid);
                // A watch fires at once, which is when its consoles are
                // looked up.
                for slot in Slot::ALL {
                    self.store
                        .watch(&slot.path(domid), &format!("{domid}/{slot}"))?;
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self, domid: DomId) -> io::Result<()> {
        tracing::info!("domain {domid} went");
        self.domains.remove(&domid);
        for slot in Slot::ALL {
            self.failures.remove(&(domid, slot));
            if let Some(token) = self.by_key.get(&(domid, slot)) {
                self.disconnect(*token);
            }
            self.store
                .unwatch(&slot.path(domid), &format!("{domid}/{slot}"))?;
        }
        Ok(())
    }

    /// Compares a console with what xenstore says of it.
    fn examine(&mut self, key: Key) {
        let (domid, slot) = key;
        let token = self.by_key.get(&key).copied();
        let source = match Source::find(&mut self.store, domid, slot) {
            Ok(Some(source)) => source,
            Ok(None) => {
                self.failures.remove(&key);
                if let Some(token) = token {
                    self.disconnect(token);
                }
                return;
            }
            // What is served already goes on as it is.
            Err(error) if token.is_some() => {
                return tracing::warn!("domain {domid} {slot}: {error}");
            }
            Err(error) => return self.fail(key, error.to_string()),
        };
        if token
            .and_then(|token| self.consoles.get(&token))
            .map(Console::source)
            == Some(&source)
        {
            return;
        }
        let done = match token {
            Some(token) => self.reconnect(token, source),
            None => self.connect(key, source),
        };
        match done {
            Ok(()) => drop(self.failures.remove(&key)),
            Err(error) => self.fail(key, error.to_string()),
        }
    }

    fn connect(&mut self, (domid, slot): Key, source: Source) -> io::Result<()> {
        let name = crate::source::text(&mut self.store, &format!("{}/name", domain_path(domid)))
            .ok()
            .flatten()
            .unwrap_or_default();
        let pty = Pty::open()
            .map_err(|error| io::Error::new(error.kind(), format!("no pty to be had: {error}")))?;
        let log = self.open_log(domid, slot, &name);
        let (ring, port) = source.connect(domid, self.hypervisor.as_ref(), self.events.as_mut())?;
        let link = Link { source, ring, port };
        let mut console = Console::new((domid, slot), name, link, pty, log, self.config.overflow);
        let token = take_token(&mut self.next_token).0;
        match self
            .viewers
            .as_mut()
            .map(|viewers| viewers.watch(console.pty().name(), token))
        {
            Some(Ok(watch)) => drop(self.watches.insert(token, watch)),
            Some(Err(error)) => {
                tracing::warn!("domain {domid} {slot}: viewers cannot be counted: {error}");
                console.set_viewers(1);
            }
            None => console.set_viewers(1),
        }
        self.by_key.insert((domid, slot), token);
        self.by_port.insert(port, token);
        self.consoles.insert(token, console);
        self.start(token).inspect_err(|_| self.disconnect(token))
    }

    /// Sets a console going that is in the books, and tells of its pty last:
    /// a client that reads the name finds everything in place.
    fn start(&mut self, token: usize) -> io::Result<()> {
        let Some(console) = self.consoles.get_mut(&token) else {
            return Ok(());
        };
        let (domid, slot, tty) = (console.domid, console.slot, console.pty().name().to_owned());
        console.start(self.events.as_mut())?;
        let raw = console.pty().as_fd().as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut SourceFd(&raw), Token(token), interest)?;
        self.ready.push_back(token);
        let path = slot.path(domid);
        // A write would bring back the directory of a domain that has gone.
        self.store.transaction(|store| {
            if store.directory(&path)?.is_none() {
                return Err(io::ErrorKind::NotFound.into());
            }
            store.write(&format!("{path}/tty"), &tty)
        })?;
        tracing::info!("domain {domid} {slot}: {tty}");
        Ok(())
    }

    fn reconnect(&mut self, token: usize, source: Source) -> io::Result<()> {
        let Some(console) = self.consoles.get_mut(&token) else {
            return Ok(());
        };
        let domid = console.domid;
        tracing::info!("domain {domid} {}: its ring has moved", console.slot);
        self.by_port.remove(&console.port());
        // The far end's port may be the same: ours must be gone before.
        let unbound = self.events.unbind(console.port());
        let linked = unbound
            .and_then(|()| source.connect(domid, self.hypervisor.as_ref(), self.events.as_mut()));
        let (ring, port) = match linked {
            Ok(linked) => linked,
            Err(error) => {
                self.disconnect(token);
                return Err(error);
            }
        };
        drop(console.relink(Link { source, ring, port }));
        self.by_port.insert(port, token);
        self.ready.push_back(token);
        console.start(self.events.as_mut())
    }

    /// Lets go of a console: its page above all, which would keep a dead
    /// domain's memory.
    fn disconnect(&mut self, token: usize) {
        let Some(mut console) = self.consoles.remove(&token) else {
            return;
        };
        let (domid, slot) = (console.domid, console.slot);
        // What is still in the ring goes to the log, if the ring is there.
        let _last = console.turn(self.events.as_mut(), Instant::now());
        self.by_key.remove(&(domid, slot));
        self.timers.remove(&token);
        if self.by_port.remove(&console.port()).is_some() {
            // Already closed if the far end's domain is gone.
            let _closed = self.events.unbind(console.port());
        }
        let raw = console.pty().as_fd().as_raw_fd();
        let _unregistered = self.poll.registry().deregister(&mut SourceFd(&raw));
        if let (Some(viewers), Some(watch)) = (&mut self.viewers, self.watches.remove(&token)) {
            viewers.unwatch(&watch);
        }
        let path = format!("{}/tty", slot.path(domid));
        let withdrawn = self.store.transaction(|store| {
            // Only our own name: somebody else may serve it by now.
            if store
                .read(&path)?
                .is_some_and(|tty| tty == console.pty().name().as_bytes())
            {
                store.remove(&path)?;
            }
            Ok(())
        });
        if let Err(error) = withdrawn {
            tracing::warn!("domain {domid} {slot}: its pty stays announced: {error}");
        }
        tracing::info!("domain {domid} {slot}: let go");
    }

    /// Notes a failure, says so once, and tries again later.
    fn fail(&mut self, key: Key, why: String) {
        let (domid, slot) = key;
        let known = self.failures.remove(&key);
        if known.as_ref().is_none_or(|known| known.why != why) {
            tracing::warn!("domain {domid} {slot}: {why}");
        }
        let pause = known.map_or(RETRY_FIRST, |known| (known.pause * 2).min(RETRY_LAST));
        self.failures.insert(
            key,
            Failure {
                why,
                again: Instant::now() + pause,
                pause,
            },
        );
    }

    fn open_log(&self, domid: DomId, slot: Slot, name: &str) -> Option<Log> {
        let dir = self.config.log_dir.as_ref()?;
        let suffix = slot.log_suffix();
        let path = if log::is_plain(name) {
            dir.join(format!("guest-{name}{suffix}.log"))
        } else {
            tracing::warn!("domain {domid}: the name {name:?} cannot name a log, its number does");
            dir.join(format!("guest-dom{domid}{suffix}.log"))
        };
        Log::open(path.clone(), self.config.log_style)
            .inspect_err(|error| tracing::error!("{}: {error}", path.display()))
            .ok()
    }

    fn reopen_logs(&mut self) {
        for console in self.consoles.values_mut() {
            let (domid, slot) = (console.domid, console.slot);
            if let Some(Err(error)) = console.log().map(Log::reopen) {
                tracing::error!("domain {domid} {slot}: its log cannot be opened again: {error}");
            }
        }
    }

    fn status(&self) -> Status {
        let served = self.consoles.values().map(|console| ConsoleStatus {
            domid: console.domid.0,
            name: console.name.clone(),
            console: console.slot.to_string(),
            kind: console.source().kind().to_string(),
            tty: console.pty().name().to_owned(),
            viewers: console.viewers(),
            from_guest: console.counters.from_guest,
            to_guest: console.counters.to_guest,
            doorbells_in: console.counters.doorbells_in,
            doorbells_out: console.counters.doorbells_out,
            resyncs: console.resyncs(),
            dropped: console.dropped(),
            state: "connected".to_owned(),
        });
        let failed = self
            .failures
            .iter()
            .map(|((domid, slot), failure)| ConsoleStatus {
                domid: domid.0,
                name: String::new(),
                console: slot.to_string(),
                kind: String::new(),
                tty: String::new(),
                viewers: 0,
                from_guest: 0,
                to_guest: 0,
                doorbells_in: 0,
                doorbells_out: 0,
                resyncs: 0,
                dropped: 0,
                state: failure.why.clone(),
            });
        let mut consoles: Vec<ConsoleStatus> = served.chain(failed).collect();
        consoles.sort_by(|a, b| (a.domid, &a.console).cmp(&(b.domid, &b.console)));
        Status {
            version: 1,
            pid: std::process::id(),
            consoles,
        }
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

/// The console that a watch's token names.
fn parse_token(token: &str) -> Option<Key> {
    let (domid, slot) = token.split_once('/')?;
    let slot = Slot::ALL.into_iter().find(|one| one.name() == slot)?;
    Some((DomId(domid.parse().ok()?), slot))
}
