// SPDX-License-Identifier: MIT
//! `/dev/xen/gntdev`: pages granted by another domain.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::ioctl::Opcode;

use crate::ioctl::{self, Request};
use crate::page::Page;
use crate::privcmd::open_device;
use crate::types::{DomId, GrantRef};

const DEVICE: &str = "/dev/xen/gntdev";

/// `struct ioctl_gntdev_map_grant_ref` for one grant.
#[repr(C)]
struct MapGrant {
    count: u32,
    pad: u32,
    index: u64,
    domid: u32,
    grant: u32,
}

/// `struct ioctl_gntdev_unmap_grant_ref`.
#[repr(C)]
struct UnmapGrant {
    index: u64,
    count: u32,
    pad: u32,
}

// SAFETY: number 0 of group 'G' takes `count` references after the header,
// here one, and writes `index`.
unsafe impl Request for MapGrant {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'G', 0);
}
// SAFETY: number 1 of group 'G' reads this structure.
unsafe impl Request for UnmapGrant {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'G', 1);
}

/// An open gntdev device.
pub struct Gntdev(Arc<File>);

/// A grant that the kernel has prepared for mapping.
struct Grant {
    device: Arc<File>,
    index: u64,
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut request = UnmapGrant {
            index: self.index,
            count: 1,
            pad: 0,
        };
        // SAFETY: the request holds no address.
        let _released = unsafe { ioctl::call(self.device.as_fd(), &mut request) };
    }
}

impl Gntdev {
    /// Opens the device.
    pub fn open() -> io::Result<Self> {
        Ok(Self(Arc::new(open_device(DEVICE, OFlags::empty())?)))
    }

    /// Maps a page that the domain grants to this one.
    pub fn map(&self, domid: DomId, grant: GrantRef) -> io::Result<Page> {
        let mut request = MapGrant {
            count: 1,
            pad: 0,
            index: 0,
            domid: domid.0.into(),
            grant: grant.0,
        };
        // SAFETY: the request holds no address.
        unsafe { ioctl::call(self.0.as_fd(), &mut request)? };
        let grant = Grant {
            device: Arc::clone(&self.0),
            index: request.index,
        };
        Page::map(self.0.as_fd(), grant.index, grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ioctls_have_the_kernel_s_numbers() {
        // The kernel's structure ends in an array of one reference.
        assert_eq!(u64::from(MapGrant::OPCODE), 0x0018_4700);
        assert_eq!(u64::from(UnmapGrant::OPCODE), 0x0010_4701);
    }
}
