// SPDX-License-Identifier: MIT
//! Saving and restoring through the C ABI, as a hypervisor would.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::rc::Rc;

use hyp_shim::abi::{VPL011_PROFILE_PL011, VPL011_PROFILE_SBSA, vpl011_outcome, vpl011_state};
use hyp_shim::entry::{vpl011_access, vpl011_init};
use hyp_shim::snapshot::{
    VPL011_DONE, VPL011_NO_RING, VPL011_NO_SNAPSHOT, VPL011_WRONG_FIELD, VPL011_WRONG_VERSION,
    vpl011_restore, vpl011_save, vpl011_snapshot,
};

/// A page that the device keeps a pointer into, so no exclusive reference to it may
/// exist.
#[repr(align(4096))]
struct Ring(UnsafeCell<[u8; 4096]>);

const DR: u64 = 0x00;
const LCR_H: u64 = 0x2C;
const IMSC: u64 = 0x38;
const RIS: u64 = 0x3C;
const FEN: u64 = 1 << 4;
const TX: u16 = 1 << 5;

/// ESR of a data abort from a lower level by a 32-bit access.
const ESR: u64 = 0x24 << 26 | 1 << 24 | 2 << 22;
const WRITE: u64 = 1 << 6;

/// A device with its own storage, on a ring or without one.
struct Device {
    state: Box<MaybeUninit<vpl011_state>>,
    ring: Option<Rc<Ring>>,
}

impl Device {
    fn new(profile: u8, ring: bool) -> Self {
        let mut device = Self {
            state: Box::new(MaybeUninit::uninit()),
            ring: ring.then(|| Rc::new(Ring([0; 4096].into()))),
        };
        let page = device.page();
        // SAFETY: state and page are this device's own, and allocated.
        unsafe { vpl011_init(device.state.as_mut_ptr(), page, profile) };
        device
    }

    fn page(&self) -> *mut c_void {
        let ring = self.ring.as_ref();
        ring.map_or(std::ptr::null_mut(), |ring| ring.0.get().cast())
    }

    fn read(&mut self, offset: u64) -> vpl011_outcome {
        // SAFETY: the state was initialised by `new`, and is not shared.
        unsafe { vpl011_access(self.state.as_mut_ptr(), ESR, offset, 0) }
    }

    fn write(&mut self, offset: u64, value: u64) -> vpl011_outcome {
        // SAFETY: the state was initialised by `new`, and is not shared.
        unsafe { vpl011_access(self.state.as_mut_ptr(), ESR | WRITE, offset, value) }
    }

    fn save(&mut self) -> Result<vpl011_snapshot, u8> {
        let mut to = vpl011_snapshot { bytes: [0xA5; 192] };
        // SAFETY: the state was initialised by `new`; `to` is ours.
        match unsafe { vpl011_save(self.state.as_mut_ptr(), &raw mut to) } {
            VPL011_DONE => Ok(to),
            error => Err(error),
        }
    }

    /// Restores over the present state; returns the UARTMIS that the caller receives.
    fn restore(&mut self, from: &vpl011_snapshot) -> Result<u16, u8> {
        let page = self.page();
        let mut pending = 0xA5A5;
        // SAFETY: state and page are this device's own, and allocated.
        let code = unsafe {
            vpl011_restore(
                self.state.as_mut_ptr(),
                page,
                &raw const *from,
                &raw mut pending,
            )
        };
        match code {
            VPL011_DONE => Ok(pending),
            error => {
                assert_eq!(pending, 0xA5A5, "untouched");
                Err(error)
            }
        }
    }

    /// With its line high and output waiting.
    fn busy(profile: u8) -> Self {
        let mut device = Self::new(profile, true);
        device.write(LCR_H, FEN);
        device.write(IMSC, TX.into());
        for at in 0..2048 + 8 {
            device.write(DR, at % 256);
        }
        assert_eq!(device.read(RIS).pending, TX);
        device
    }
}

#[test]
fn a_device_continues_after_a_restore() {
    for profile in [VPL011_PROFILE_PL011, VPL011_PROFILE_SBSA] {
        let mut before = Device::busy(profile);
        let snapshot = before.save().unwrap();
        let mut after = Device::new(VPL011_PROFILE_PL011, true);
        after.ring = before.ring.take();
        // The line is as before: the caller has to make up for no edge.
        assert_eq!(after.restore(&snapshot), Ok(TX));
        assert_eq!(after.save(), Ok(snapshot));
        assert_eq!(after.read(RIS).pending, TX);
    }
}

#[test]
fn a_device_without_a_ring_has_no_snapshot() {
    let mut console = Device::new(VPL011_PROFILE_PL011, false);
    assert_eq!(console.save(), Err(VPL011_NO_RING));
    let snapshot = Device::busy(VPL011_PROFILE_PL011).save().unwrap();
    assert_eq!(console.restore(&snapshot), Err(VPL011_NO_RING));
}

#[test]
fn damaged_bytes_have_distinct_errors_and_change_nothing() {
    let good = Device::busy(VPL011_PROFILE_PL011).save().unwrap();
    let mut device = Device::busy(VPL011_PROFILE_PL011);
    let before = device.save();
    for (offset, value, error) in [
        (0, b'Q', VPL011_NO_SNAPSHOT),
        (5, 9, VPL011_NO_SNAPSHOT),
        (6, 9, VPL011_WRONG_VERSION),
        (28, 33, VPL011_WRONG_FIELD),
        (191, 33, VPL011_WRONG_FIELD),
    ] {
        let mut bytes = good.bytes;
        bytes[offset] = value;
        assert_eq!(device.restore(&vpl011_snapshot { bytes }), Err(error));
        assert_eq!(device.save(), before, "byte {offset}");
    }
}

/// Each bit in turn: refused, or a state that saves as the same bytes. All of them take
/// minutes under Miri, which tests one in 17: each place in a byte, about every second
/// byte.
#[test]
fn any_flipped_bit_is_refused_or_exact() {
    let good = Device::busy(VPL011_PROFILE_SBSA).save().unwrap();
    let mut device = Device::new(VPL011_PROFILE_PL011, true);
    let step = if cfg!(miri) { 17 } else { 1 };
    for bit in (0..8 * good.bytes.len()).step_by(step) {
        if bit / 8 == 6 {
            // An older version saves as the newest.
            continue;
        }
        let mut flawed = good;
        flawed.bytes[bit / 8] ^= 1 << (bit % 8);
        if device.restore(&flawed).is_ok() {
            assert_eq!(device.save(), Ok(flawed), "bit {bit}");
        }
    }
}
