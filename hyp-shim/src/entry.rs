// SPDX-License-Identifier: MIT
//! The functions of `include/vpl011.h`.
//!
//! All but [`vpl011_init`] have the same obligation: `state` was initialised by it, has
//! not moved since, its ring page is still mapped, and no other call on the same state
//! runs at the same time.

use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

use vpl011::ring::port::RingPort;
use vpl011::trap::{Access, Direction, Width};
use vpl011::{Glance, Outcome, Profile, Uart};

use crate::abi::{
    Device, VPL011_ABORT, VPL011_POLLED, VPL011_PROFILE_SBSA, VPL011_UNSEEN, vpl011_counters,
    vpl011_outcome, vpl011_state,
};
use crate::line::{Console, Line};
use crate::memory::Page;

/// Makes `*state` a device after reset, on a ring page or without one.
///
/// # Safety
///
/// `state` points to storage of that type, with any contents. `ring` is null, or meets
/// the requirements of [`Page::new`] for as long as the state is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_init(state: *mut vpl011_state, ring: *mut c_void, profile: u8) {
    let profile = match profile {
        VPL011_PROFILE_SBSA => Profile::Sbsa,
        _ => Profile::Pl011,
    };
    let line = match NonNull::new(ring.cast()) {
        None => Line::Console(Console::default()),
        Some(base) => {
            // SAFETY: the caller guarantees a page at `ring` if it is not null.
            let page = unsafe { Page::new(base) };
            Line::Ring(RingPort::new(page))
        }
    };
    let device = Uart::with_profile(profile, line);
    // SAFETY: the storage is as large and aligned as a device needs, which
    // `abi` asserts; what it held before is forgotten.
    unsafe { state.cast::<Device>().write(device) };
}

/// A guest's access, as the syndrome of its data abort describes it.
///
/// # Safety
///
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_access(
    state: *mut vpl011_state,
    esr: u64,
    offset: u64,
    value: u64,
) -> vpl011_outcome {
    // SAFETY: the caller's obligation, passed on.
    let device = unsafe { device(state) };
    let Ok((direction, access)) = Access::from_esr(esr, offset) else {
        return abort();
    };
    let value = (value & 0xFFFF_FFFF) as u32;
    match direction {
        Direction::Write => write(device, access, value),
        Direction::Read => read(device, access),
    }
}

/// A guest's write of UARTDR, of whatever width.
///
/// # Safety
///
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_send(state: *mut vpl011_state, value: u64) -> vpl011_outcome {
    // SAFETY: the caller's obligation, passed on.
    let device = unsafe { device(state) };
    write(device, Access::new(0, Width::Byte), (value & 0xFF) as u32)
}

#[cold]
#[inline(never)]
extern "C" fn abort() -> vpl011_outcome {
    vpl011_outcome {
        flags: VPL011_ABORT,
        ..vpl011_outcome::default()
    }
}

/// The usual access: a character that goes straight to the line. As an `extern "C"`
/// function, like all that end an access, so that the first of them returns the outcome
/// in registers.
#[inline(never)]
extern "C" fn write(device: &mut Device, access: Access, value: u32) -> vpl011_outcome {
    match device.send(access, value) {
        Some(outcome) => finish(device, outcome),
        None => write_other(device, access, value),
    }
}

#[cold]
#[inline(never)]
extern "C" fn write_other(device: &mut Device, access: Access, value: u32) -> vpl011_outcome {
    let outcome = device.write(access, value);
    finish(device, outcome)
}

#[inline(never)]
extern "C" fn read(device: &mut Device, access: Access) -> vpl011_outcome {
    let outcome = device.read(access);
    finish(device, outcome)
}

/// The result of an access that changes nothing, from a glance alone: the value read,
/// or 0 for a write, with `VPL011_POLLED`. `VPL011_UNSEEN` if the device is needed, as
/// always for UARTDR. `esr` is of a data abort with ISV set.
#[unsafe(no_mangle)]
pub extern "C" fn vpl011_peek(glance: &AtomicU64, esr: u64, offset: u64, value: u64) -> u64 {
    let Ok((direction, access)) = Access::from_iss(esr, offset) else {
        return VPL011_UNSEEN;
    };
    let (word, order) = (glance.load(Ordering::Relaxed), Ordering::Relaxed);
    let kept = Glance::from_bits(word);
    if let Some((flags, newer)) = kept.poll(direction, access) {
        // An outcome stored meanwhile is newer still.
        let _ = glance.compare_exchange_weak(word, newer.bits(), order, order);
        let polled = u64::from(newer.stalled()) << VPL011_POLLED.trailing_zeros();
        return polled | u64::from(flags);
    }
    kept.peek(direction, access, (value & 0xFFFF_FFFF) as u32)
        .map_or(VPL011_UNSEEN, u64::from)
}

/// The backend has moved its indices of the ring.
///
/// # Safety
///
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_ring_event(state: *mut vpl011_state) -> vpl011_outcome {
    // SAFETY: the caller's obligation, passed on.
    let device = unsafe { device(state) };
    let outcome = device.backend_event();
    finish(device, outcome)
}

/// A character for the guest, from a backend without a ring.
///
/// # Safety
///
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_receive(state: *mut vpl011_state, character: u8) -> vpl011_outcome {
    // SAFETY: the caller's obligation, passed on.
    let device = unsafe { device(state) };
    device.backend_mut().type_ahead(character);
    let outcome = device.backend_event();
    finish(device, outcome)
}

/// A break on the line towards the guest.
///
/// # Safety
///
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_break(state: *mut vpl011_state) -> vpl011_outcome {
    // SAFETY: the caller's obligation, passed on.
    let device = unsafe { device(state) };
    let outcome = device.receive_break();
    finish(device, outcome)
}

/// The counts since `vpl011_init`.
///
/// # Safety
///
/// See the [module](self).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vpl011_counters(state: *mut vpl011_state) -> vpl011_counters {
    // SAFETY: the caller's obligation, passed on.
    let device = unsafe { device(state) };
    vpl011_counters::new(device.counters(), device.backend().traffic())
}

/// The device in C's storage.
///
/// # Safety
///
/// As for the entry points; the reference is dropped before the entry returns.
pub(crate) unsafe fn device<'a>(state: *mut vpl011_state) -> &'a mut Device {
    // SAFETY: `vpl011_init` has put a device there, and the caller's lock excludes
    // every other reference to it.
    unsafe { &mut *state.cast::<Device>() }
}

fn finish(device: &mut Device, outcome: Outcome) -> vpl011_outcome {
    let output = device.backend_mut().take_output();
    vpl011_outcome::new(outcome, output)
}
