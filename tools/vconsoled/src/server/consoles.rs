// SPDX-License-Identifier: MIT
//! Connects to consoles' rings, and disconnects from them.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::{Server, take_token};
use crate::console::Console;
use crate::guest::exchange::Domain;
use crate::guest::nodes::Key;
use crate::guest::source::Source;
use crate::persist::fd_store::{self, Purpose};
use crate::ring::Link;
use crate::sink::pty::Pty;

impl Server {
    pub(super) fn connect(
        &mut self,
        (domid, slot): Key,
        domain: &Domain,
        source: Source,
    ) -> io::Result<()> {
        let (name, instance) = (domain.name.clone(), &domain.instance);
        let config = self.config.console(&name, &slot.to_string());
        let output = self
            .persist
            .state_dir
            .open(domid, slot, instance, config.history.0.0)?;
        let (ring, port) = source.connect(
            domid,
            self.xen.hypervisor.as_ref(),
            self.xen.events.as_mut(),
        )?;
        let link = Link::new(source, ring, port);
        let label = fd_store::console(domid, slot, instance);
        let pty = match self.open_pty(&label) {
            Ok(pty) => pty,
            Err(error) => {
                // It was bound above.
                let _closed = self.xen.events.unbind(port);
                let what = format!("cannot open a pty: {error}");
                return Err(io::Error::new(error.kind(), what));
            }
        };
        let mut console = Console::new((domid, slot), name, link, output, pty, config.overflow);
        console.set_allowance(&self.sinks.allowance);
        console.set_lossy(config.lossy);
        console.set_input_rate(config.input_rate, Instant::now());
        let token = take_token(&mut self.next_token).0;
        match self
            .sinks
            .pty_states
            .as_mut()
            .map(|states| states.watch(console.pty().name(), token))
        {
            Some(Ok(watch)) => {
                self.sinks.watches.insert(token, watch);
            }
            Some(Err(error)) => {
                tracing::warn!("domain {domid} {slot}: its pty cannot be watched: {error}");
                console.pty_mut().assume_open();
            }
            None => console.pty_mut().assume_open(),
        }
        self.served.by_key.insert((domid, slot), token);
        self.served.by_port.insert(port, token);
        self.served.consoles.insert(token, console);
        self.look_at_pty(token);
        self.start(token).inspect_err(|_| {
            self.disconnect(token);
        })
    }

    /// The last daemon's pty, or a new one.
    fn open_pty(&mut self, label: &str) -> io::Result<Pty> {
        let name = fd_store::name(Purpose::Terminal, label);
        if let Some(left) = self.persist.fd_store.take(&name).pop() {
            match Pty::resume(left, label) {
                Ok(pty) => return Ok(pty),
                Err(error) => {
                    tracing::warn!("{name}: the last daemon's state is not used: {error}");
                }
            }
            self.persist.fd_store.remove(&name);
        }
        let pty = Pty::open(label)?;
        self.persist.fd_store.store(&name, &[pty.as_fd()]);
        Ok(pty)
    }

    /// Starts serving a registered console, and announces its pty last: a client
    /// that reads the name can use everything.
    pub(super) fn start(&mut self, token: usize) -> io::Result<()> {
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return Ok(());
        };
        let (domid, slot, tty) = (console.domid, console.slot, console.pty().name().to_owned());
        console.take_up();
        if let Some(typed) = &mut self.persist.typed {
            console.set_input_journal(Arc::clone(typed.journal()));
            typed.take_up(&mut self.persist.fd_store, console);
        }
        console.start(self.xen.events.as_mut())?;
        let raw = console.pty().as_fd().as_raw_fd();
        self.poll
            .registry()
            .register(&mut SourceFd(&raw), Token(token), Interest::READABLE)?;
        self.schedule.ready.push(token);
        self.set_logs(token);
        self.set_watch(token);
        self.open_endpoints(token);
        tracing::info!("domain {domid} {slot}: {tty}");
        self.guests.discovery.announce((domid, slot), tty);
        Ok(())
    }

    pub(super) fn reconnect(&mut self, token: usize, source: Source) -> io::Result<()> {
        let Some(console) = self.served.consoles.get_mut(&token) else {
            return Ok(());
        };
        let domid = console.domid;
        tracing::info!("domain {domid} {}: its ring has moved", console.slot);
        self.served.by_port.remove(&console.port());
        // The far end's port may be the same, so the local port must be closed first.
        let unbound = self.xen.events.unbind(console.port());
        let linked = unbound.and_then(|()| {
            source.connect(
                domid,
                self.xen.hypervisor.as_ref(),
                self.xen.events.as_mut(),
            )
        });
        let (ring, port) = match linked {
            Ok(linked) => linked,
            Err(error) => {
                self.disconnect(token);
                return Err(error);
            }
        };
        drop(console.relink(Link::new(source, ring, port)));
        self.served.by_port.insert(port, token);
        self.schedule.ready.push(token);
        console.start(self.xen.events.as_mut())
    }

    /// Closes a console for good, and removes its state for the next daemon once
    /// the log is complete.
    pub(super) fn retire(&mut self, (domid, slot): Key) {
        let console = self.served.by_key.get(&(domid, slot)).copied();
        let console = console.and_then(|token| self.disconnect(token));
        let (log, others) = console.map(Console::into_logs).unzip();
        let state = self.persist.state_dir.path(domid, slot);
        match log.flatten() {
            Some(log) => log.finish(state),
            None => self.persist.state_dir.remove(domid, slot),
        }
        for other in others.into_iter().flatten() {
            other.finish(None);
        }
    }

    /// Closes a console, above all its page, which would keep a dead domain's
    /// memory.
    pub(super) fn disconnect(&mut self, token: usize) -> Option<Console> {
        let mut console = self.served.consoles.remove(&token)?;
        let (domid, slot) = (console.domid, console.slot);
        if !self.ending {
            let terminal = fd_store::name(Purpose::Terminal, console.pty().label());
            self.persist.fd_store.remove(&terminal);
        }
        // The rest of the ring goes to the log, if the ring is accessible.
        let _last = console.last_slice(self.xen.events.as_mut());
        self.close_endpoints(&mut console);
        self.served.by_key.remove(&(domid, slot));
        self.schedule.timers.remove(&token);
        if self.served.by_port.remove(&console.port()).is_some() {
            // Already closed if the far end's domain is gone.
            let _closed = self.xen.events.unbind(console.port());
        }
        let raw = console.pty().as_fd().as_raw_fd();
        let _unregistered = self.poll.registry().deregister(&mut SourceFd(&raw));
        if let (Some(states), Some(watch)) = (
            &mut self.sinks.pty_states,
            self.sinks.watches.remove(&token),
        ) {
            states.unwatch(&watch);
        }
        self.guests.discovery.withdraw((domid, slot));
        tracing::info!("domain {domid} {slot}: let go");
        Some(console)
    }
}
