// SPDX-License-Identifier: MIT
//! The interfaces that a console backend needs from a Xen host.
//! [`host`](crate::host) is the real one, [`fake`](crate::fake) one inside the
//! process.
//!
//! Xenstore is not here: both hosts use its wire protocol, so one [`Client`]
//! serves both.

use std::io;
use std::os::fd::AsFd;

use crate::page::Page;
use crate::types::{DomId, Gfn, GrantRef, HvmParam, Port, Resource, Virq};
use crate::xenstore::Client;

/// Parameters and memory of other domains.
///
/// Errors carry the hypervisor's errno, which is also Linux's.
pub trait Hypervisor: Send {
    /// Reads a parameter of a domain.
    fn hvm_param(&self, domid: DomId, param: HvmParam) -> io::Result<u64>;

    /// Writes a parameter of a domain.
    fn set_hvm_param(&self, domid: DomId, param: HvmParam, value: u64) -> io::Result<()>;

    /// Sends one break to the domain's vuart. It arrives at once, before bytes
    /// that wait in the ring.
    ///
    /// ENODEV if the domain has no vuart, EPERM if it never ran yet, EINVAL from
    /// a hypervisor without support for breaks.
    fn send_break(&self, domid: DomId) -> io::Result<()> {
        self.set_hvm_param(domid, HvmParam::VUART_BREAK, 1)
    }

    /// Maps a frame that is named by its purpose.
    fn map_resource(&self, domid: DomId, resource: Resource) -> io::Result<Page>;

    /// Maps a page that the domain grants to this one.
    fn map_grant(&self, domid: DomId, grant: GrantRef) -> io::Result<Page>;

    /// Maps a page of the domain by its address.
    fn map_gfn(&self, domid: DomId, gfn: Gfn) -> io::Result<Page>;

    /// Reads the hypervisor's messages from `index` on, or from the oldest that
    /// is left; returns the number of bytes. `index` advances to their end. It
    /// starts at 0 when the host does, and wraps.
    fn read_console(&self, index: &mut u32, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Event channels of this domain, all behind one file descriptor.
///
/// The descriptor is readable when [`pending`](Self::pending) has ports. A
/// reported port stays masked until [`unmask`](Self::unmask). Dropping the value
/// closes every port.
pub trait EventChannels: AsFd + Send {
    /// Connects a new local port to an unbound port of another domain. The local
    /// port starts pending, so no earlier event is missed.
    fn bind_interdomain(&mut self, domid: DomId, remote: Port) -> io::Result<Port>;

    /// Creates a local port that another domain may connect to.
    fn bind_unbound(&mut self, domid: DomId) -> io::Result<Port>;

    /// Creates a local port for an interrupt of Xen.
    fn bind_virq(&mut self, virq: Virq) -> io::Result<Port>;

    /// Closes a local port.
    fn unbind(&mut self, port: Port) -> io::Result<()>;

    /// Notifies the other end.
    fn notify(&mut self, port: Port) -> io::Result<()>;

    /// Lets the port be reported again.
    fn unmask(&mut self, port: Port) -> io::Result<()>;

    /// Appends the ports that were notified, without blocking.
    fn pending(&mut self, ports: &mut Vec<Port>) -> io::Result<()>;
}

/// Everything a backend needs, real or fake.
pub struct Platform {
    /// Parameters and mappings.
    pub hypervisor: Box<dyn Hypervisor>,
    /// Event channels.
    pub events: Box<dyn EventChannels>,
    /// A connection to xenstore.
    pub store: Client,
    /// Opens another connection when that is lost.
    pub reopen_store: Box<dyn FnMut() -> io::Result<Client> + Send>,
}
