// SPDX-License-Identifier: MIT
//! Numbers that identify objects in Xen, each with its own type, so that a port
//! cannot be passed for a domain.

use std::fmt;

/// A domain's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomId(pub u16);

impl DomId {
    /// The control domain.
    pub const DOM0: Self = Self(0);
    /// The caller's own domain, in a hypercall (Xen `DOMID_SELF`).
    pub const SELF: Self = Self(0x7ff0);
    /// The first number that no domain can have (Xen `DOMID_FIRST_RESERVED`).
    pub const FIRST_RESERVED: u16 = 0x7ff0;
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event-channel port, in the number space of one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u32);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A guest frame number: a guest-physical address in units of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gfn(pub u64);

/// An entry of a domain's grant table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantRef(pub u32);

impl GrantRef {
    /// The entry that a toolstack reserves for the console's ring
    /// (Xen `GNTTAB_RESERVED_CONSOLE`).
    pub const CONSOLE: Self = Self(0);
}

/// An interrupt that Xen itself raises, not a device (Xen `VIRQ_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Virq(pub u32);

impl Virq {
    /// The hypervisor has new messages on its console (Xen `VIRQ_CON_RING`).
    pub const CON_RING: Self = Self(8);
}

/// A parameter of a domain (Xen `public/hvm/params.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HvmParam(pub u32);

impl HvmParam {
    /// The gfn of the PV console's ring.
    pub const CONSOLE_PFN: Self = Self(17);
    /// The domain's port of the PV console.
    pub const CONSOLE_EVTCHN: Self = Self(18);
    /// The gfn that the private vuart ring was made from. The page is not in the
    /// guest's address space any more: map [`Resource::VUART`] instead.
    pub const VUART_PFN: Self = Self(39);
    /// The port of the private vuart ring, held by the hypervisor.
    pub const VUART_EVTCHN: Self = Self(40);
    /// Writing 1 sends one break on the vuart's line to the guest, with any kind
    /// of ring. Reads as 0.
    pub const VUART_BREAK: Self = Self(41);
}

/// One frame of a domain's memory, identified by its purpose rather than by an
/// address (`XENMEM_acquire_resource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The type. The hypervisor's field has 16 bits; the kernel's is wider and is
    /// truncated silently.
    pub kind: u16,
    /// The instance of that type.
    pub id: u32,
    /// The frame of the instance.
    pub frame: u32,
}

impl Resource {
    /// The page of the private vuart ring.
    pub const VUART: Self = Self {
        kind: 0x7675,
        id: 0,
        frame: 0,
    };
}
