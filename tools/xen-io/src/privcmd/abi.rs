// SPDX-License-Identifier: MIT
//! Structures for the kernel (`/dev/xen/privcmd`) and the hypervisor (its public
//! headers), as laid out on a 64-bit Arm. Padding is explicit, so no byte of them
//! is undefined.

use rustix::ioctl::Opcode;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::ioctl::{self, Request};

/// Hypercall numbers (Xen `public/xen.h`).
pub(crate) mod hypercall {
    pub(crate) const MEMORY_OP: u64 = 12;
    pub(crate) const EVENT_CHANNEL_OP: u64 = 32;
    pub(crate) const HVM_OP: u64 = 34;
    pub(crate) const SYSCTL: u64 = 35;
}

/// `IOCTL_PRIVCMD_HYPERCALL`.
#[repr(C)]
pub(crate) struct Hypercall {
    pub(crate) op: u64,
    pub(crate) arg: [u64; 5],
}

// SAFETY: number 0 of group 'P' takes this structure; what the hypervisor
// writes to is named by addresses in `arg`.
unsafe impl Request for Hypercall {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'P', 0);
}

/// `IOCTL_PRIVCMD_MMAPBATCH_V2`.
#[repr(C)]
pub(crate) struct MmapBatch {
    pub(crate) num: u32,
    pub(crate) dom: u16,
    pub(crate) pad: u16,
    pub(crate) addr: u64,
    /// Address of `num` gfns.
    pub(crate) arr: u64,
    /// Address of `num` error codes (i32).
    pub(crate) err: u64,
}

// SAFETY: number 4 of group 'P' takes this structure; it populates the
// mapping at `addr` and writes the codes at `err`.
unsafe impl Request for MmapBatch {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'P', 4);
}

/// `IOCTL_PRIVCMD_MMAP_RESOURCE`.
#[repr(C)]
pub(crate) struct MmapResource {
    pub(crate) dom: u16,
    pub(crate) pad: u16,
    pub(crate) kind: u32,
    pub(crate) id: u32,
    pub(crate) idx: u32,
    pub(crate) num: u64,
    pub(crate) addr: u64,
}

// SAFETY: number 7 of group 'P' takes this structure; it populates the
// mapping at `addr` and writes to nothing else.
unsafe impl Request for MmapResource {
    const OPCODE: Opcode = ioctl::opcode::<Self>(b'P', 7);
}

/// `struct xen_hvm_param`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct HvmParamOp {
    pub(crate) domid: u16,
    pub(crate) pad: u16,
    pub(crate) index: u32,
    pub(crate) value: u64,
}

/// `struct evtchn_alloc_unbound`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct EvtchnAllocUnbound {
    pub(crate) dom: u16,
    pub(crate) remote_dom: u16,
    pub(crate) port: u32,
}

/// `struct evtchn_bind_interdomain`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct EvtchnBindInterdomain {
    pub(crate) remote_dom: u16,
    pub(crate) pad: u16,
    pub(crate) remote_port: u32,
    pub(crate) local_port: u32,
}

/// `struct evtchn_close`, `struct evtchn_send`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct EvtchnPort {
    pub(crate) port: u32,
}

/// `struct evtchn_reset`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct EvtchnReset {
    pub(crate) dom: u16,
}

/// `struct evtchn_status`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct EvtchnStatusOp {
    pub(crate) dom: u16,
    pub(crate) pad: u16,
    pub(crate) port: u32,
    pub(crate) status: u32,
    pub(crate) vcpu: u32,
    /// `unbound.dom` and `interdomain.dom`.
    pub(crate) remote_dom: u16,
    pub(crate) remote_pad: u16,
    /// `interdomain.port`.
    pub(crate) remote_port: u32,
}

/// `struct xen_memory_reservation`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct MemoryReservation {
    /// Address of `nr_extents` frame numbers (u64).
    pub(crate) extent_start: u64,
    pub(crate) nr_extents: u64,
    pub(crate) extent_order: u32,
    pub(crate) mem_flags: u32,
    pub(crate) domid: u16,
    pub(crate) pad: [u16; 3],
}

/// `struct xen_remove_from_physmap`.
#[repr(C)]
#[derive(Clone, Copy, Default, FromBytes, Immutable, IntoBytes)]
pub(crate) struct RemoveFromPhysmap {
    pub(crate) domid: u16,
    pub(crate) pad: [u16; 3],
    pub(crate) gpfn: u64,
}

/// `struct xen_sysctl` with `struct xen_sysctl_readconsole` in its union.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, Immutable, IntoBytes)]
pub(crate) struct SysctlReadConsole {
    pub(crate) cmd: u32,
    pub(crate) interface_version: u32,
    pub(crate) clear: u8,
    pub(crate) incremental: u8,
    pub(crate) pad: [u8; 2],
    pub(crate) index: u32,
    /// Address of `count` bytes.
    pub(crate) buffer: u64,
    pub(crate) count: u32,
    /// The rest of the union, which is 128 bytes.
    pub(crate) rest: [u8; 108],
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn ioctls_have_the_kernel_s_numbers() {
        // _IOC(_IOC_NONE, 'P', nr, size) = size << 16 | 'P' << 8 | nr
        assert_eq!(u64::from(Hypercall::OPCODE), 0x0030_5000);
        assert_eq!(u64::from(MmapBatch::OPCODE), 0x0020_5004);
        assert_eq!(u64::from(MmapResource::OPCODE), 0x0020_5007);
    }

    #[test]
    fn structures_have_the_public_headers_layout() {
        assert_eq!(size_of::<Hypercall>(), 48);
        assert_eq!(size_of::<MmapBatch>(), 32);
        assert_eq!(offset_of!(MmapBatch, addr), 8);
        assert_eq!(offset_of!(MmapBatch, err), 24);
        assert_eq!(size_of::<MmapResource>(), 32);
        assert_eq!(offset_of!(MmapResource, kind), 4);
        assert_eq!(offset_of!(MmapResource, num), 16);
        assert_eq!(size_of::<HvmParamOp>(), 16);
        assert_eq!(offset_of!(HvmParamOp, index), 4);
        assert_eq!(offset_of!(HvmParamOp, value), 8);
        assert_eq!(size_of::<EvtchnAllocUnbound>(), 8);
        assert_eq!(size_of::<EvtchnBindInterdomain>(), 12);
        assert_eq!(size_of::<EvtchnPort>(), 4);
        assert_eq!(size_of::<EvtchnReset>(), 2);
        assert_eq!(size_of::<EvtchnStatusOp>(), 24);
        assert_eq!(offset_of!(EvtchnStatusOp, remote_dom), 16);
        assert_eq!(offset_of!(EvtchnStatusOp, remote_port), 20);
        assert_eq!(size_of::<MemoryReservation>(), 32);
        assert_eq!(offset_of!(MemoryReservation, domid), 24);
        assert_eq!(size_of::<SysctlReadConsole>(), 136);
        assert_eq!(offset_of!(SysctlReadConsole, incremental), 9);
        assert_eq!(offset_of!(SysctlReadConsole, index), 12);
        assert_eq!(offset_of!(SysctlReadConsole, buffer), 16);
        assert_eq!(offset_of!(SysctlReadConsole, count), 24);
        assert_eq!(size_of::<RemoveFromPhysmap>(), 16);
        assert_eq!(offset_of!(RemoveFromPhysmap, gpfn), 8);
    }
}
