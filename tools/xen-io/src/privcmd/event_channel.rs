// SPDX-License-Identifier: MIT
//! Event-channel hypercalls that bypass the kernel, for tools that create ports
//! for another domain or test what Xen refuses. A daemon uses
//! [`Evtchn`](crate::evtchn::Evtchn).

use std::io;

use super::{Privcmd, abi, hypercall};
use crate::types::{DomId, Port};

const BIND_INTERDOMAIN: u64 = 0;
const CLOSE: u64 = 3;
const SEND: u64 = 4;
const STATUS: u64 = 5;
const ALLOC_UNBOUND: u64 = 6;
const RESET: u64 = 10;

/// What a port is connected to (Xen `EVTCHNSTAT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Not in use.
    Closed,
    /// Waiting for that domain to connect.
    Unbound(DomId),
    /// Connected to a port of another domain.
    Interdomain(DomId, Port),
    /// A local source: a physical or virtual interrupt, or an IPI.
    Other(u32),
}

/// The state of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// What it is connected to.
    pub state: PortState,
    /// The vCPU it notifies.
    pub vcpu: u32,
}

impl Privcmd {
    /// Creates a port in `domid` that `remote` may connect to.
    pub fn evtchn_alloc_unbound(&self, domid: DomId, remote: DomId) -> io::Result<Port> {
        let mut op = abi::EvtchnAllocUnbound {
            dom: domid.0,
            remote_dom: remote.0,
            ..Default::default()
        };
        self.event_channel_op(ALLOC_UNBOUND, &mut op)?;
        Ok(Port(op.port))
    }

    /// Connects a new port of this domain to an unbound one of `remote`,
    /// bypassing the kernel.
    pub fn evtchn_bind_interdomain(&self, remote: DomId, port: Port) -> io::Result<Port> {
        let mut op = abi::EvtchnBindInterdomain {
            remote_dom: remote.0,
            remote_port: port.0,
            ..Default::default()
        };
        self.event_channel_op(BIND_INTERDOMAIN, &mut op)?;
        Ok(Port(op.local_port))
    }

    /// Closes a port of this domain.
    pub fn evtchn_close(&self, port: Port) -> io::Result<()> {
        self.event_channel_op(CLOSE, &mut abi::EvtchnPort { port: port.0 })
    }

    /// Notifies the remote end of a port of this domain.
    pub fn evtchn_send(&self, port: Port) -> io::Result<()> {
        self.event_channel_op(SEND, &mut abi::EvtchnPort { port: port.0 })
    }

    /// Closes every port of a domain.
    pub fn evtchn_reset(&self, domid: DomId) -> io::Result<()> {
        self.event_channel_op(RESET, &mut abi::EvtchnReset { dom: domid.0 })
    }

    /// Reads the state of a domain's port.
    pub fn evtchn_status(&self, domid: DomId, port: Port) -> io::Result<PortStatus> {
        let mut op = abi::EvtchnStatusOp {
            dom: domid.0,
            port: port.0,
            ..Default::default()
        };
        self.event_channel_op(STATUS, &mut op)?;
        let state = match op.status {
            0 => PortState::Closed,
            1 => PortState::Unbound(DomId(op.remote_dom)),
            2 => PortState::Interdomain(DomId(op.remote_dom), Port(op.remote_port)),
            other => PortState::Other(other),
        };
        Ok(PortStatus {
            state,
            vcpu: op.vcpu,
        })
    }

    fn event_channel_op<T>(&self, command: u64, argument: &mut T) -> io::Result<()>
    where
        T: zerocopy::IntoBytes + zerocopy::FromBytes + zerocopy::Immutable,
    {
        self.command(hypercall::EVENT_CHANNEL_OP, command, argument)?;
        Ok(())
    }
}
