// SPDX-License-Identifier: MIT
//! Every entry of the C ABI, called as a hypervisor calls it, on a page that another
//! thread writes at the same time. `cargo xtask miri` runs these with every access
//! checked.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use hyp_shim::abi::{
    VPL011_ABORT, VPL011_DOORBELL, VPL011_GLANCE_EMPTY, VPL011_OUTPUT, VPL011_POLLED,
    VPL011_STALLED, VPL011_UNSEEN, vpl011_counters, vpl011_outcome, vpl011_state,
};
use hyp_shim::entry;

const DR: u64 = 0x000;
const FR: u64 = 0x018;
const IMSC: u64 = 0x038;
const MIS: u64 = 0x040;
const RX: u16 = 1 << 4;
const TX: u64 = 1 << 5;
const RXFE: u64 = 1 << 4;
const TXFF: u32 = 1 << 5;
const TXFE: u32 = 1 << 7;
const BE: u32 = 1 << 10;

/// ESR of a data abort from a lower level by an access of 8 << `size` bits.
const fn esr(size: u64, write: bool) -> u64 {
    0x24 << 26 | 1 << 24 | size << 22 | (write as u64) << 6
}

/// The page as the backend has it: bytes, then words.
#[repr(C, align(4096))]
struct Ring {
    input: [AtomicU8; 1024],
    output: [AtomicU8; 2048],
    words: [AtomicU32; 256],
}

impl Ring {
    fn new() -> Self {
        Self {
            input: [const { AtomicU8::new(0) }; 1024],
            output: [const { AtomicU8::new(0) }; 2048],
            words: [const { AtomicU32::new(0) }; 256],
        }
    }

    /// `in_cons`, `in_prod`, `out_cons` and `out_prod` are 0 to 3.
    fn index(&self, which: usize) -> &AtomicU32 {
        &self.words[which]
    }
}

/// A device with its own storage.
struct Device(Box<MaybeUninit<vpl011_state>>);

impl Device {
    fn new(ring: Option<&Ring>) -> Self {
        let mut state = Box::new(MaybeUninit::uninit());
        let page = ring.map_or(std::ptr::null_mut(), |ring| {
            std::ptr::from_ref(ring).cast_mut().cast::<c_void>()
        });
        // SAFETY: the page is all atomics, aligned, and by the tests' order of
        // variables borrowed for longer than the device is used.
        unsafe { entry::vpl011_init(state.as_mut_ptr(), page, 0) };
        Self(state)
    }

    fn access(&mut self, esr: u64, offset: u64, value: u64) -> vpl011_outcome {
        // SAFETY: the state was initialised by `new`, and is not shared.
        unsafe { entry::vpl011_access(self.0.as_mut_ptr(), esr, offset, value) }
    }

    fn read(&mut self, offset: u64) -> vpl011_outcome {
        self.access(esr(2, false), offset, 0)
    }

    fn write(&mut self, offset: u64, value: u64) -> vpl011_outcome {
        self.access(esr(2, true), offset, value)
    }

    fn event(&mut self) -> vpl011_outcome {
        // SAFETY: as for `access`.
        unsafe { entry::vpl011_ring_event(self.0.as_mut_ptr()) }
    }

    fn receive(&mut self, character: u8) -> vpl011_outcome {
        // SAFETY: as for `access`.
        unsafe { entry::vpl011_receive(self.0.as_mut_ptr(), character) }
    }

    fn receive_break(&mut self) -> vpl011_outcome {
        // SAFETY: as for `access`.
        unsafe { entry::vpl011_break(self.0.as_mut_ptr()) }
    }

    fn counters(&mut self) -> vpl011_counters {
        // SAFETY: as for `access`.
        unsafe { entry::vpl011_counters(self.0.as_mut_ptr()) }
    }
}

#[test]
fn bytes_cross_a_ring() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    let outcome = device.write(DR, u64::from(b'x'));
    assert_eq!(outcome.flags, VPL011_DOORBELL);
    assert_eq!(ring.index(3).load(Ordering::Relaxed), 1, "out_prod");
    assert_eq!(ring.output[0].load(Ordering::Relaxed), b'x');
    assert_eq!(device.write(IMSC, RX.into()).pending, 0);
    ring.input[0].store(b'y', Ordering::Relaxed);
    // The backend has taken the one byte and given another.
    ring.index(2).store(1, Ordering::Relaxed);
    ring.index(1).store(1, Ordering::Relaxed);
    assert_eq!(device.event().pending, RX);
    assert_eq!(device.read(MIS).value, RX.into());
    assert_eq!(device.read(DR).value, u32::from(b'y'));
    assert_eq!(ring.index(0).load(Ordering::Relaxed), 1, "in_cons");
    let counters = device.counters();
    assert_eq!((counters.bytes_out, counters.bytes_in), (1, 1));
    assert_eq!((counters.doorbells, counters.resyncs), (1, 0));
}

#[test]
fn the_guests_divisors_are_in_the_ring_page() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    for (offset, value) in [(0x024, 13), (0x028, 1), (0x02C, 0x70)] {
        device.write(offset, value);
    }
    let word = (3600 - 3072) / 4;
    let line_control = ring.index(word).load(Ordering::Relaxed);
    assert_eq!(line_control, 0x70 << 22 | 13 << 6 | 1);
    // On the hypervisor's own console nothing reads these settings.
    Device::new(None).write(0x02C, 0x70);
}

#[test]
fn a_full_ring_stalls_a_polling_guest() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    for _ in 0..2049 {
        device.write(DR, 0);
    }
    assert_eq!(device.read(FR).flags & VPL011_STALLED, 0, "one look");
    let outcome = device.read(FR);
    assert_eq!(outcome.flags & VPL011_STALLED, VPL011_STALLED);
    assert_eq!(outcome.value & (TXFF | TXFE), TXFF);
}

#[test]
fn a_byte_without_a_ring_leaves_by_its_outcome() {
    let mut device = Device::new(None);
    let outcome = device.write(DR, u64::from(b'z'));
    assert_eq!((outcome.flags, outcome.output), (VPL011_OUTPUT, b'z'));
    let outcome = device.read(FR);
    assert_eq!((outcome.flags, outcome.output), (0, 0));
    device.receive(b'k');
    assert_eq!(device.read(DR).value, u32::from(b'k'));
    device.receive_break();
    assert_eq!(device.read(DR).value, BE);
}

#[test]
fn an_invalid_access_aborts() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    for not_an_access in [esr(3, false), esr(2, true) & !(1 << 24), 0, u64::MAX] {
        let outcome = device.access(not_an_access, DR, 1);
        let abort = vpl011_outcome {
            flags: VPL011_ABORT,
            ..vpl011_outcome::default()
        };
        assert_eq!(outcome, abort);
    }
    assert_eq!(device.counters().bytes_out, 0);
}

#[test]
fn a_glance_answers_polling_reads_only() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    let glance = AtomicU64::new(device.read(FR).glance);
    let flags = peek(&glance, esr(2, false), FR);
    assert_eq!(flags, device.read(FR).value.into());
    for unseen in [
        peek(&glance, esr(2, true), DR),
        peek(&glance, esr(3, false), FR),
        peek(&AtomicU64::new(0), esr(2, false), FR),
    ] {
        assert_eq!(unseen, VPL011_UNSEEN);
    }
}

fn peek(glance: &AtomicU64, esr: u64, offset: u64) -> u64 {
    entry::vpl011_peek(glance, esr, offset, 0)
}

/// The count of fruitless polls is in the word that the caller keeps.
#[test]
fn every_256th_fruitless_poll_is_reported() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    let outcome = device.read(FR);
    let glance = AtomicU64::new(outcome.glance);
    for look in 1..=512 {
        let polled = if look % 256 == 0 { VPL011_POLLED } else { 0 };
        let seen = peek(&glance, esr(2, false), FR);
        assert_eq!(seen, polled | u64::from(outcome.value), "{look}");
    }
    assert_eq!(glance.into_inner(), outcome.glance);
}

/// On a ring with room, on a full one, and on the hypervisor's own console.
#[test]
fn a_character_sent_is_a_write_of_uartdr() {
    let (ring, other) = (Ring::new(), Ring::new());
    for rings in [Some([&ring, &other]), None] {
        let [mut sends, mut writes] = [0, 1].map(|n| Device::new(rings.map(|both| both[n])));
        for value in 0..2048 + 40 {
            // SAFETY: the state was initialised by `new`, and is not shared.
            let sent = unsafe { entry::vpl011_send(sends.0.as_mut_ptr(), value) };
            assert_eq!(sent, writes.write(DR, value), "{value}");
        }
        assert_eq!(sends.counters(), writes.counters());
    }
    let bytes = |ring: &Ring| {
        ring.output
            .each_ref()
            .map(|byte| byte.load(Ordering::Relaxed))
    };
    assert_eq!(bytes(&ring), bytes(&other));
    assert_ne!(bytes(&ring), [0; 2048]);
}

/// The one bit of a glance that C reads, after any actions of the guest.
#[test]
fn a_glance_shows_that_the_receiver_is_empty() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    let shown = |outcome: vpl011_outcome| {
        let flags = peek(&AtomicU64::new(outcome.glance), esr(2, false), FR);
        let empty = flags != VPL011_UNSEEN && flags & RXFE != 0;
        assert_eq!(outcome.glance & VPL011_GLANCE_EMPTY != 0, empty);
        empty
    };
    assert!(shown(device.read(FR)));
    assert!(!shown(device.write(DR, 0)), "it is in flight");
    device.read(FR);
    assert!(shown(device.read(FR)));
    assert!(!shown(device.receive_break()));
    assert!(shown(device.read(DR)));
    assert!(!shown(device.write(IMSC, TX)), "the line is high");
}

/// CPUs that poll, and outcomes that arrive meanwhile: none is lost. At the end the
/// word holds the newest one, apart from the count since.
#[test]
fn a_newer_glance_is_never_overwritten() {
    let ring = Ring::new();
    let mut device = Device::new(Some(&ring));
    let idle = device.read(FR).glance;
    let glance = AtomicU64::new(idle);
    let polls = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    peek(&glance, esr(2, false), FR);
                    polls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let lost = (0..ROUNDS).find(|mask| {
            // UARTIMSC, in bits 47:32.
            let newest = idle & !(0x7FF << 32) | (mask & 0x7FF) << 32;
            glance.store(newest, Ordering::Relaxed);
            // The polls that this interrupted have ended.
            let before = polls.load(Ordering::Relaxed);
            while polls.load(Ordering::Relaxed) < before + 2 {
                std::hint::spin_loop();
            }
            glance.load(Ordering::Relaxed) << 8 != newest << 8
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(lost, None);
    });
}

/// Fewer rounds under Miri, which is slow.
const ROUNDS: u64 = if cfg!(miri) { 20 } else { 20_000 };

/// Another thread overwrites every byte and index while the guest works: Miri would
/// find a data race here.
#[test]
fn a_page_may_change_at_any_moment() {
    let ring = Ring::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut value = 1_u32;
            while !done.load(Ordering::Relaxed) {
                value = value.wrapping_mul(0x0808_8405).wrapping_add(1);
                ring.words[(value >> 8) as usize % 256].store(value, Ordering::Relaxed);
                ring.index(value as usize % 4)
                    .store(value >> 20, Ordering::Relaxed);
                let [byte, ..] = value.to_le_bytes();
                ring.input[value as usize % 1024].store(byte, Ordering::Relaxed);
                ring.output[value as usize % 2048].store(byte, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let mut device = Device::new(Some(&ring));
        for round in 0..40_u64 {
            device.write(DR, round);
            let outcome = device.event();
            assert_eq!(outcome.flags & VPL011_ABORT, 0);
            assert!(device.read(DR).value <= 0xFFF);
        }
        done.store(true, Ordering::Relaxed);
    });
}
