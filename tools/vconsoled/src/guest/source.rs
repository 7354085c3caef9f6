// SPDX-License-Identifier: MIT
//! Finds the ring of a console in xenstore, and connects to it.

use std::fmt;
use std::io;

use vpl011::ring::peer::RingPeer;
use xen_io::xenstore::Client;
use xen_io::{DomId, EventChannels, Gfn, GrantRef, HvmParam, Hypervisor, Page, Port, Resource};

use super::nodes::{Slot, number, text};

/// The `type` of a console that this daemon serves.
const OURS: &str = "xenconsoled";
/// The `type` of a UART whose ring the guest cannot access.
const PRIVATE: &str = "pl011";

/// The kind of a console's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The guest's own PV console.
    Pv,
    /// A secondary PV console, or a channel.
    Secondary,
    /// A UART's ring that the guest can access too.
    Vuart,
    /// A UART's ring that only the hypervisor and the backend can access.
    VuartPrivate,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pv => "pv",
            Self::Secondary => "pv-secondary",
            Self::Vuart => "vuart",
            Self::VuartPrivate => "vuart-private",
        })
    }
}

/// The place of a console's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Granted as the reserved entry, or else at `gfn`.
    Pv {
        /// The page.
        gfn: Gfn,
        /// The guest's port.
        port: Port,
    },
    /// Granted by the guest's driver.
    Granted {
        /// The page.
        grant: GrantRef,
        /// The guest's port.
        port: Port,
    },
    /// At `gfn`.
    Vuart {
        /// The page.
        gfn: Gfn,
        /// The hypervisor's port.
        port: Port,
    },
    /// A resource, and a port in a parameter.
    VuartPrivate,
}

/// A console to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The place of its ring.
    pub ring: Ring,
    /// Limit of output that waits for a slow viewer, from the toolstack, in bytes.
    pub limit: Option<usize>,
}

impl Source {
    /// The kind of its ring.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.ring {
            Ring::Pv { .. } => Kind::Pv,
            Ring::Granted { .. } => Kind::Secondary,
            Ring::Vuart { .. } => Kind::Vuart,
            Ring::VuartPrivate => Kind::VuartPrivate,
        }
    }

    /// Identifies the place of its ring.
    #[must_use]
    pub fn ring_id(&self) -> u32 {
        let place = match self.ring {
            Ring::Pv { gfn, port } => format!("pv {} {}", gfn.0, port.0),
            Ring::Vuart { gfn, port } => format!("vuart {} {}", gfn.0, port.0),
            Ring::Granted { grant, port } => format!("granted {} {}", grant.0, port.0),
            Ring::VuartPrivate => "vuart-private".to_owned(),
        };
        crc32fast::hash(place.as_bytes())
    }

    /// Looks up a domain's console; `None` if it has none, or another backend
    /// serves it. An error concerns this console only.
    pub fn find(store: &mut Client, domid: DomId, slot: Slot) -> io::Result<Option<Self>> {
        let path = slot.path(domid);
        let kind = text(store, &format!("{path}/type"))?;
        let ring = match (slot, kind.as_deref()) {
            (Slot::Vuart, Some(PRIVATE)) => Ring::VuartPrivate,
            (_, None | Some(OURS)) => {
                let gfn = number(store, &format!("{path}/ring-ref"))?.map(Gfn);
                let port = number(store, &format!("{path}/port"))?.map(Port);
                match (slot, gfn, port) {
                    (Slot::Pv, Some(gfn), Some(port)) => Ring::Pv { gfn, port },
                    (Slot::Vuart, Some(gfn), Some(port)) => Ring::Vuart { gfn, port },
                    // Missing, or not yet written.
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let limit = number(store, &format!("{path}/limit"))?;
        Ok(Some(Self { ring, limit }))
    }

    /// Maps the ring and connects to its port.
    pub fn connect(
        &self,
        domid: DomId,
        hypervisor: &dyn Hypervisor,
        events: &mut dyn EventChannels,
    ) -> io::Result<(RingPeer<Page>, Port)> {
        let (page, remote) = match self.ring {
            Ring::Pv { gfn, port } => {
                let page = hypervisor
                    .map_grant(domid, GrantRef::CONSOLE)
                    .or_else(|_| hypervisor.map_gfn(domid, gfn))
                    .map_err(|error| about("its page cannot be mapped", &error))?;
                (page, port)
            }
            Ring::Granted { grant, port } => {
                let page = hypervisor
                    .map_grant(domid, grant)
                    .map_err(|error| about("its page cannot be mapped", &error))?;
                (page, port)
            }
            Ring::Vuart { gfn, port } => {
                let page = hypervisor
                    .map_gfn(domid, gfn)
                    .map_err(|error| about("its page cannot be mapped", &error))?;
                (page, port)
            }
            Ring::VuartPrivate => {
                let port = hypervisor
                    .hvm_param(domid, HvmParam::VUART_EVTCHN)
                    .map_err(|error| {
                        about("its port cannot be read from the hypervisor", &error)
                    })?;
                let port = u32::try_from(port).map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("port {port} is invalid"),
                    )
                })?;
                let page = hypervisor
                    .map_resource(domid, Resource::VUART)
                    .map_err(|error| about("its page cannot be acquired", &error))?;
                (page, Port(port))
            }
        };
        let port = events
            .bind_interdomain(domid, remote)
            .map_err(|error| about(&format!("cannot connect to its port {remote}"), &error))?;
        Ok((RingPeer::new(page), port))
    }
}

fn about(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
