// SPDX-License-Identifier: MIT
//! A device that is saved and restored at any step of any sequence, and snapshots
//! with any flaw.

use proptest::collection::vec;
use proptest::prelude::*;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::{Moved, RingPeer};
use vpl011::ring::port::{RingPort, Traffic};
use vpl011::snapshot::{SIZE, Snapshot};
use vpl011::trap::Width;
use vpl011::uart::Counters;
use vpl011::{Access, Outcome, Profile, Uart};

use crate::snapshot::busy;
use crate::{DR, Guest, attach, attach_to, pattern, receive, send};

#[derive(Clone, Debug)]
enum Step {
    Read(u16, Width),
    Write(u16, Width, u32),
    Event,
    Break,
    Take(usize),
    Put(Vec<u8>),
    Arm(bool),
    Announce(bool),
    Scribble(usize, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let offset = || prop_oneof![3 => (0_u16..0x14).prop_map(|index| index * 4), 2 => Just(DR)];
    let width = || prop_oneof![Just(Width::Byte), Just(Width::Half), Just(Width::Word)];
    prop_oneof![
        6 => (offset(), width()).prop_map(|(offset, width)| Step::Read(offset, width)),
        6 => (offset(), width(), any::<u32>())
            .prop_map(|(offset, width, value)| Step::Write(offset, width, value)),
        3 => Just(Step::Event),
        1 => Just(Step::Break),
        2 => (0_usize..60).prop_map(Step::Take),
        3 => vec(any::<u8>(), 0..60).prop_map(Step::Put),
        1 => any::<bool>().prop_map(Step::Arm),
        1 => any::<bool>().prop_map(Step::Announce),
        1 => (0_usize..4, prop_oneof![0_u32..3000, any::<u32>()])
            .prop_map(|(word, value)| Step::Scribble(3072 + 4 * word, value)),
    ]
}

/// A step's results for both sides.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    outcome: Outcome,
    taken: Moved,
    put: Moved,
    armed: bool,
}

fn perform(guest: &mut Guest, peer: &mut RingPeer<&AtomicPage>, step: &Step) -> Seen {
    let mut seen = Seen::default();
    match step {
        Step::Read(offset, width) => seen.outcome = guest.read(Access::new(*offset, *width)),
        Step::Write(offset, width, value) => {
            seen.outcome = guest.write(Access::new(*offset, *width), *value);
        }
        Step::Event => seen.outcome = guest.backend_event(),
        Step::Break => seen.outcome = guest.receive_break(),
        Step::Take(bytes) => seen.taken = peer.take_out(&mut vec![0; *bytes]),
        Step::Put(bytes) => seen.put = peer.put_in(bytes),
        Step::Arm(out) => {
            seen.armed = if *out {
                peer.arm_out(1)
            } else {
                peer.arm_in(10)
            }
        }
        Step::Announce(on) if *on => peer.enable_event_index(),
        Step::Announce(_) => peer.disable_event_index(),
        Step::Scribble(word, value) => peer.memory().store_u32(*word, *value),
    }
    seen
}

/// The whole observable end state.
fn end(guest: &Guest, page: &AtomicPage) -> (Snapshot, Counters, Traffic, Vec<u8>) {
    let bytes = (0..4096).map(|offset| page.load_u8(offset)).collect();
    let traffic = guest.backend().traffic();
    (guest.save(), guest.counters(), traffic, bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any sequence, saved and restored at any step.
    #[test]
    fn cut_anywhere_it_is_the_same(
        full in any::<bool>(),
        sbsa in any::<bool>(),
        steps in vec(step(), 1..150),
        cut in any::<prop::sample::Index>(),
    ) {
        let profile = if sbsa { Profile::Sbsa } else { Profile::Pl011 };
        let pages = [AtomicPage::new(), AtomicPage::new()];
        let [(mut whole, mut whole_peer), (mut parts, mut parts_peer)] =
            pages.each_ref().map(|page| attach_to(profile, page));
        for guest in [&mut whole, &mut parts] {
            send(guest, &pattern(if full { 2040 } else { 0 }));
        }
        let cut = cut.index(steps.len());
        for (at, step) in steps.iter().enumerate() {
            if at == cut {
                let snapshot = parts.save();
                parts = Uart::restore(&pages[1], &snapshot.0).unwrap();
                prop_assert_eq!(parts.save(), snapshot);
                // The restore published the indices of the guest's end, which may
                // have been overwritten; the same is done in the uncut run.
                for index in [3072, 3084] {
                    pages[0].store_u32(index, pages[1].load_u32(index));
                }
            }
            let whole_seen = perform(&mut whole, &mut whole_peer, step);
            let parts_seen = perform(&mut parts, &mut parts_peer, step);
            prop_assert_eq!(whole_seen, parts_seen, "step {}", at);
        }
        prop_assert_eq!(end(&whole, &pages[0]), end(&parts, &pages[1]));
    }

    /// Bytes with flaws are refused, or are a state that saves as the same bytes
    /// and works.
    #[test]
    fn flawed_bytes_are_refused_or_exact(
        flaws in vec((0_usize..SIZE, any::<u8>()), 1..4),
        idle in any::<bool>(),
    ) {
        let page = AtomicPage::new();
        let guest = if idle { attach(&page).0 } else { busy(&page) };
        let mut bytes = guest.save().0;
        for (offset, value) in flaws {
            if offset != 6 {
                bytes[offset] = value;
            }
        }
        if let Ok(mut after) = Uart::restore(&page, &bytes) {
            prop_assert_eq!(after.save().0, bytes);
            prop_assert!(receive(&mut after).0.len() <= 1024 + 32);
            send(&mut after, &pattern(100));
            let _ = after.backend_event();
        }
    }

    /// Random bytes, even with a valid header, are refused or save as the same
    /// bytes.
    #[test]
    fn noise_is_survived(mut noise in vec(any::<u8>(), SIZE..=SIZE), header in any::<bool>()) {
        let page = AtomicPage::new();
        if header {
            noise[..8].copy_from_slice(b"PL011\x01\x03\x00");
        }
        if let Ok(after) = Uart::<RingPort<_>>::restore(&page, &noise) {
            prop_assert_eq!(after.save().0.to_vec(), noise);
        }
    }
}
