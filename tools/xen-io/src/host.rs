// SPDX-License-Identifier: MIT
//! A real Xen host, through the kernel's devices.

use std::io;

use crate::evtchn::Evtchn;
use crate::gntdev::Gntdev;
use crate::interface::{Hypervisor, Platform};
use crate::page::Page;
use crate::privcmd::Privcmd;
use crate::types::{DomId, Gfn, GrantRef, HvmParam, Resource};
use crate::xenstore::Client;

/// The hypervisor under this kernel.
pub struct Host {
    privcmd: Privcmd,
    gntdev: Gntdev,
}

impl Host {
    /// Opens the devices.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            privcmd: Privcmd::open()?,
            gntdev: Gntdev::open()?,
        })
    }
}

impl Hypervisor for Host {
    fn hvm_param(&self, domid: DomId, param: HvmParam) -> io::Result<u64> {
        self.privcmd.hvm_param(domid, param)
    }

    fn set_hvm_param(&self, domid: DomId, param: HvmParam, value: u64) -> io::Result<()> {
        self.privcmd.set_hvm_param(domid, param, value)
    }

    fn map_resource(&self, domid: DomId, resource: Resource) -> io::Result<Page> {
        self.privcmd.map_resource(domid, resource)
    }

    fn map_grant(&self, domid: DomId, grant: GrantRef) -> io::Result<Page> {
        self.gntdev.map(domid, grant)
    }

    fn map_gfn(&self, domid: DomId, gfn: Gfn) -> io::Result<Page> {
        self.privcmd.map_gfn(domid, gfn)
    }

    fn read_console(&self, index: &mut u32, buffer: &mut [u8]) -> io::Result<usize> {
        self.privcmd.read_console(index, buffer)
    }
}

impl Platform {
    /// Opens everything on the Xen host this process runs on.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            hypervisor: Box::new(Host::open()?),
            events: Box::new(Evtchn::open()?),
            store: Client::open()?,
            reopen_store: Box::new(Client::open),
        })
    }
}
