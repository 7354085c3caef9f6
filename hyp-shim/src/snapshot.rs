// SPDX-License-Identifier: MIT
//! The functions of `include/vpl011.h` that save and restore a device.
//!
//! Only a device on a ring is saved: a device on the hypervisor's own console has
//! no toolstack that could save it.

use core::ffi::c_void;
use core::ptr::NonNull;

use vpl011::Uart;
use vpl011::ring::port::RingPort;
use vpl011::snapshot::{Invalid, Persistent, RingState};

use crate::abi::{Device, vpl011_state};
use crate::entry::device;
use crate::line::Line;
use crate::memory::Page;

/// Bytes of [`vpl011_snapshot`].
pub const VPL011_SNAPSHOT_SIZE: usize = vpl011::snapshot::SIZE;
/// Saved or restored.
pub const VPL011_DONE: u8 = 0;
/// The device is on no ring.
pub const VPL011_NO_RING: u8 = 1;
/// The bytes are no snapshot of this kind of device.
pub const VPL011_NO_SNAPSHOT: u8 = 2;
/// The snapshot's version is unknown.
pub const VPL011_WRONG_VERSION: u8 = 3;
/// A value in the snapshot is impossible.
pub const VPL011_WRONG_FIELD: u8 = 4;

/// A [`Snapshot`](vpl011::snapshot::Snapshot), in C's layout.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct vpl011_snapshot {
    /// Its bytes.
    pub bytes: [u8; VPL011_SNAPSHOT_SIZE],
}

impl Persistent for Line {
    const KIND: u8 = RingPort::<Page>::KIND;

    type Ground = Page;

    type State = RingState;

    /// A line without a ring has no state; [`vpl011_save`] refuses it.
    fn save(&self) -> RingState {
        match self {
            Self::Ring(ring) => ring.save(),
            Self::Console(_) => RingState::default(),
        }
    }

    fn restore(page: Page, state: &RingState) -> Result<Self, Invalid> {
        RingPort::restore(page, state).map(Self::Ring)
    }
}

/// Stores the device's state between two accesses in `*to`.
///
/// # Safety
///
/// `state` as for the other [entry points](crate::entry); `to` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_save(state: *mut vpl011_state, to: *mut vpl011_snapshot) -> u8 {
    // SAFETY: the caller's obligation, passed on.
    let device = unsafe { device(state) };
    if !matches!(device.backend(), Line::Ring(_)) {
        return VPL011_NO_RING;
    }
    let bytes = device.save().0;
    // SAFETY: the caller guarantees room at `to`.
    unsafe { to.write(vpl011_snapshot { bytes }) };
    VPL011_DONE
}

/// Makes `*state` the device that was saved, and `*pending` its UARTMIS.
///
/// # Safety
///
/// `state` and `ring` as for [`vpl011_init`](crate::entry::vpl011_init);
/// `from` may be read and holds any bytes; `pending` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_restore(
    state: *mut vpl011_state,
    ring: *mut c_void,
    from: *const vpl011_snapshot,
    pending: *mut u16,
) -> u8 {
    let Some(base) = NonNull::new(ring.cast()) else {
        return VPL011_NO_RING;
    };
    // SAFETY: the caller guarantees a page at `ring` if it is not null.
    let page = unsafe { Page::new(base) };
    // SAFETY: the caller guarantees readable bytes at `from`.
    let snapshot = unsafe { from.read() };
    let device: Device = match Uart::restore(page, &snapshot.bytes) {
        Ok(device) => device,
        Err(Invalid::Format) => return VPL011_NO_SNAPSHOT,
        Err(Invalid::Version(_)) => return VPL011_WRONG_VERSION,
        Err(_) => return VPL011_WRONG_FIELD,
    };
    // SAFETY: the caller guarantees room at `pending`.
    unsafe { pending.write(device.pending().bits()) };
    // SAFETY: the storage is as large and aligned as a device needs, which
    // `abi` asserts; what it held before is forgotten.
    unsafe { state.cast::<Device>().write(device) };
    VPL011_DONE
}
