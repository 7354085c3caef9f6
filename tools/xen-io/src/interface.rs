// SPDX-License-Identifier: MIT
//! What a console backend needs from a Xen host. [`host`](crate::host) is the
//! real one, [`fake`](crate::fake) another one inside the process.
//!
//! Xenstore is not here: both hosts speak its wire protocol, so there is one
//! [`Client`] for both.

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

    /// Sends one break to the domain's vuart. It arrives at once: ahead of
    /// what still waits in the ring.
    ///
    /// ENODEV if the domain has no vuart, EPERM if it never ran yet, EINVAL
    /// from a hypervisor that knows no breaks.
    fn send_break(&self, domid: DomId) -> io::Result<()> {
        self.set_hvm_param(domid, HvmParam::VUART_BREAK, 1)
    }

    /// Maps a frame that is named by its purpose.
    fn map_resource(&self, domid: DomId, resource: Resource) -> io::Result<Page>;

    /// Maps a page that the domain grants to this one.
    fn map_grant(&self, domid: DomId, grant: GrantRef) -> io::Result<Page>;

    /// Maps a page of the domain by its address.
    fn map_gfn(&self, domid: DomId, gfn: Gfn) -> io::Result<Page>;

    /// Reads what the hypervisor has said on its own console from `index` on,
    /// or from the oldest that is left of it; returns how many bytes came.
    /// `index` goes on to where they end. It starts at 0 when the host does,
    /// and wraps.
    fn read_console(&self, index: &mut u32, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Event channels of this domain, all behind one file descriptor.
///
/// The descriptor is readable when [`pending`](Self::pending) has something to
/// give. A port that was reported stays masked until [`unmask`](Self::unmask).
/// Dropping the value closes every port.
pub trait EventChannels: AsFd + Send {
    /// Connects a new local port to an unbound port of another domain. The
    /// local port starts pending, so nothing that happened before is missed.
    fn bind_interdomain(&mut self, domid: DomId, remote: Port) -> io::Result<Port>;

    /// Makes a local port that another domain may connect to.
    fn bind_unbound(&mut self, domid: DomId) -> io::Result<Port>;

    /// Makes a local port that an interrupt of Xen's notifies.
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
    /// Another one, when that is lost.
    pub reopen_store: Box<dyn FnMut() -> io::Result<Client> + Send>,
}
