// SPDX-License-Identifier: MIT
//! Event channels of the fake host: pairs of ports, one end in a domain and the
//! other, once connected, in a program of the control domain.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::io::Errno;

use crate::interface::EventChannels;
use crate::types::{DomId, Port, Virq};

/// All ports of the host.
#[derive(Default)]
pub(super) struct Switch {
    state: Mutex<State>,
    /// Signalled when a domain's end is notified.
    notified: Condvar,
}

#[derive(Default)]
struct State {
    channels: BTreeMap<(DomId, Port), Channel>,
    programs: BTreeMap<u64, Program>,
    /// The programs and ports that Xen's own interrupts notify.
    virqs: BTreeMap<Virq, (u64, Port)>,
    last_port: u32,
    last_program: u64,
}

/// One event channel, named by its end in the domain.
#[derive(Default)]
struct Channel {
    /// The other end: the program and its port.
    peer: Option<(u64, Port)>,
    /// Notifications that the domain has not taken yet.
    pending: bool,
    /// Total number of notifications that reached the domain.
    received: u64,
    /// Total number of notifications that the domain sent to a connected peer.
    sent: u64,
}

/// One open evtchn descriptor.
struct Program {
    wake: Arc<OwnedFd>,
    ports: BTreeMap<Port, Local>,
    fired: Vec<Port>,
}

struct Local {
    remote: (DomId, Port),
    masked: bool,
    pending: bool,
}

impl Program {
    /// Reports a port, or remembers it while it is masked.
    fn fire(&mut self, port: Port) {
        let Some(local) = self.ports.get_mut(&port) else {
            return;
        };
        if local.masked {
            local.pending = true;
            return;
        }
        local.masked = true;
        local.pending = false;
        self.fired.push(port);
        // The counter cannot overflow before it is read.
        let _written = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Switch {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates an unbound port in a domain.
    pub(super) fn allocate(&self, domid: DomId) -> Port {
        let mut state = self.state();
        state.last_port += 1;
        let port = Port(state.last_port);
        state.channels.insert((domid, port), Channel::default());
        port
    }

    /// Raises an interrupt of Xen.
    pub(super) fn raise(&self, virq: Virq) {
        let mut state = self.state();
        if let Some((program, port)) = state.virqs.get(&virq).copied()
            && let Some(program) = state.programs.get_mut(&program)
        {
            program.fire(port);
        }
    }

    /// Closes every port of a domain.
    pub(super) fn close(&self, domid: DomId) {
        self.state()
            .channels
            .retain(|(owner, _), _| *owner != domid);
    }
}

/// The domain's end of an event channel.
pub struct Line {
    switch: Arc<Switch>,
    domid: DomId,
    port: Port,
}

impl Line {
    pub(super) fn new(switch: &Arc<Switch>, domid: DomId, port: Port) -> Self {
        Self {
            switch: Arc::clone(switch),
            domid,
            port,
        }
    }

    /// The port's number in the domain.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// Notifies the peer, if there is one.
    pub fn notify(&self) {
        let mut state = self.switch.state();
        let Some(channel) = state.channels.get_mut(&self.key()) else {
            return;
        };
        let Some((program, local)) = channel.peer else {
            return;
        };
        channel.sent += 1;
        if let Some(program) = state.programs.get_mut(&program) {
            program.fire(local);
        }
    }

    /// Waits at most `timeout` for a notification, and takes it.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        let key = self.key();
        let idle = |state: &mut State| state.channels.get(&key).is_some_and(|one| !one.pending);
        let (mut state, _) = self
            .switch
            .notified
            .wait_timeout_while(self.switch.state(), timeout, idle)
            .unwrap_or_else(PoisonError::into_inner);
        state
            .channels
            .get_mut(&key)
            .is_some_and(|one| std::mem::take(&mut one.pending))
    }

    /// Notifications that went to a connected peer.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.switch
            .state()
            .channels
            .get(&self.key())
            .map_or(0, |channel| channel.sent)
    }

    /// Notifications that came from the peer.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.switch
            .state()
            .channels
            .get(&self.key())
            .map_or(0, |channel| channel.received)
    }

    /// Whether a peer is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.switch
            .state()
            .channels
            .get(&self.key())
            .is_some_and(|one| one.peer.is_some())
    }

    fn key(&self) -> (DomId, Port) {
        (self.domid, self.port)
    }
}

/// A program's descriptor in the control domain.
pub(super) struct Events {
    switch: Arc<Switch>,
    program: u64,
    wake: Arc<OwnedFd>,
}

impl Events {
    pub(super) fn open(switch: &Arc<Switch>) -> io::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let wake = Arc::new(rustix::event::eventfd(0, flags)?);
        let mut state = switch.state();
        state.last_program += 1;
        let program = state.last_program;
        let opened = Program {
            wake: Arc::clone(&wake),
            ports: BTreeMap::new(),
            fired: Vec::new(),
        };
        state.programs.insert(program, opened);
        drop(state);
        Ok(Self {
            switch: Arc::clone(switch),
            program,
            wake,
        })
    }

    fn with<T>(&self, port: Port, act: impl FnOnce(&mut Program) -> T) -> io::Result<T> {
        let mut state = self.switch.state();
        let program = state.programs.get_mut(&self.program).ok_or(Errno::BADF)?;
        if program.ports.contains_key(&port) {
            Ok(act(program))
        } else {
            Err(Errno::NOTCONN.into())
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl EventChannels for Events {
    fn bind_interdomain(&mut self, domid: DomId, remote: Port) -> io::Result<Port> {
        let mut state = self.switch.state();
        let local = Port(state.last_port + 1);
        let known = state.channels.keys().any(|(owner, _)| *owner == domid);
        let Some(channel) = state.channels.get_mut(&(domid, remote)) else {
            return Err(if known { Errno::INVAL } else { Errno::SRCH }.into());
        };
        if channel.peer.is_some() {
            return Err(Errno::INVAL.into());
        }
        channel.peer = Some((self.program, local));
        state.last_port += 1;
        let program = state.programs.get_mut(&self.program).ok_or(Errno::BADF)?;
        let end = Local {
            remote: (domid, remote),
            masked: false,
            pending: false,
        };
        program.ports.insert(local, end);
        program.fire(local);
        Ok(local)
    }

    fn bind_unbound(&mut self, domid: DomId) -> io::Result<Port> {
        let mut state = self.switch.state();
        state.last_port += 1;
        let local = Port(state.last_port);
        let program = state.programs.get_mut(&self.program).ok_or(Errno::BADF)?;
        // No domain of this host connects to a port of the control domain, so the
        // remote end never exists.
        let end = Local {
            remote: (domid, Port(0)),
            masked: false,
            pending: false,
        };
        program.ports.insert(local, end);
        Ok(local)
    }

    fn bind_virq(&mut self, virq: Virq) -> io::Result<Port> {
        let mut state = self.switch.state();
        if state.virqs.contains_key(&virq) {
            return Err(Errno::EXIST.into());
        }
        state.last_port += 1;
        let local = Port(state.last_port);
        state.virqs.insert(virq, (self.program, local));
        let program = state.programs.get_mut(&self.program).ok_or(Errno::BADF)?;
        let end = Local {
            remote: (DomId::DOM0, local),
            masked: false,
            pending: false,
        };
        program.ports.insert(local, end);
        Ok(local)
    }

    fn unbind(&mut self, port: Port) -> io::Result<()> {
        let remote = self.with(port, |program| {
            program.fired.retain(|fired| *fired != port);
            program.ports.remove(&port).map(|local| local.remote)
        })?;
        let mut state = self.switch.state();
        let mine = (self.program, port);
        state.virqs.retain(|_, owner| *owner != mine);
        if let Some(channel) = remote.and_then(|end| state.channels.get_mut(&end)) {
            channel.peer = None;
        }
        Ok(())
    }

    fn notify(&mut self, port: Port) -> io::Result<()> {
        let remote = self.with(port, |program| program.ports[&port].remote)?;
        if let Some(channel) = self.switch.state().channels.get_mut(&remote) {
            channel.pending = true;
            channel.received += 1;
        }
        self.switch.notified.notify_all();
        Ok(())
    }

    fn unmask(&mut self, port: Port) -> io::Result<()> {
        self.with(port, |program| {
            let Some(local) = program.ports.get_mut(&port) else {
                return;
            };
            local.masked = false;
            if local.pending {
                program.fire(port);
            }
        })
    }

    fn pending(&mut self, ports: &mut Vec<Port>) -> io::Result<()> {
        let mut state = self.switch.state();
        let program = state.programs.get_mut(&self.program).ok_or(Errno::BADF)?;
        let mut counter = [0; 8];
        match rustix::io::read(&self.wake, &mut counter) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        ports.append(&mut program.fired);
        Ok(())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.switch.state();
        let Some(program) = state.programs.remove(&self.program) else {
            return;
        };
        let gone = self.program;
        state.virqs.retain(|_, (owner, _)| *owner != gone);
        for local in program.ports.values() {
            if let Some(channel) = state.channels.get_mut(&local.remote) {
                channel.peer = None;
            }
        }
    }
}
