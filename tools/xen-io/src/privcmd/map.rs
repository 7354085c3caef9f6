// SPDX-License-Identifier: MIT
//! Mappings of other domains' pages.
//!
//! Each attempt has its own mapping, which is dropped on failure: Linux up to 6.1
//! stops with a BUG when a second resource is mapped into the same area, even if
//! the first attempt failed.

use std::io;
use std::os::fd::AsFd;
use std::ptr;

use super::{Privcmd, abi};
use crate::ioctl;
use crate::page::Page;
use crate::types::{DomId, Gfn, Resource};

impl Privcmd {
    /// Maps a frame that is named by its purpose.
    pub fn map_resource(&self, domid: DomId, resource: Resource) -> io::Result<Page> {
        let page = Page::map(self.device.as_fd(), 0, self.device.try_clone()?)?;
        let mut request = abi::MmapResource {
            dom: domid.0,
            pad: 0,
            kind: u32::from(resource.kind),
            id: resource.id,
            idx: resource.frame,
            num: 1,
            addr: page.address(),
        };
        // SAFETY: `addr` is a mapping of this very device, one page long, and no
        // pointer into it exists yet.
        unsafe { ioctl::call(self.device.as_fd(), &mut request)? };
        Ok(page)
    }

    /// Maps a page of a domain by its address.
    pub fn map_gfn(&self, domid: DomId, gfn: Gfn) -> io::Result<Page> {
        let page = Page::map(self.device.as_fd(), 0, self.device.try_clone()?)?;
        let mut error = 0_i32;
        let mut request = abi::MmapBatch {
            num: 1,
            dom: domid.0,
            pad: 0,
            addr: page.address(),
            arr: ptr::from_ref(&gfn.0).addr() as u64,
            err: ptr::from_mut(&mut error).expose_provenance() as u64,
        };
        // SAFETY: `addr` is a mapping of this very device, one page long, and no
        // pointer into it exists yet; `arr` and `err` name one element each, and
        // both outlive the call.
        unsafe { ioctl::call(self.device.as_fd(), &mut request)? };
        // The kernel writes `error` by its address, which the compiler does
        // not see.
        // SAFETY: the pointer is that of a live local.
        match unsafe { ptr::read_volatile(&raw const error) } {
            0 => Ok(page),
            code => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
        }
    }
}
