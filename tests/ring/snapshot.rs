// SPDX-License-Identifier: MIT
//! A device that is saved, restored and continued behaves like one that was not.

use proptest::collection::vec;
use proptest::prelude::*;
use vpl011::backend::Sent;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::{Moved, RingPeer};
use vpl011::ring::port::{RingPort, Traffic};
use vpl011::snapshot::{Invalid, Persistent, SIZE, Snapshot, VERSION};
use vpl011::trap::Width;
use vpl011::uart::Counters;
use vpl011::{Access, Backend, Outcome, Profile, Uart};

use crate::{DR, Guest, attach, attach_to, pattern, read, receive, send, take, write};

const CR: u16 = 0x030;
const IMSC: u16 = 0x038;
const RIS: u16 = 0x03C;

fn restored<'page>(guest: &Guest, page: &'page AtomicPage) -> Guest<'page> {
    Uart::restore(page, &guest.save().0).unwrap()
}

/// A guest with a value in every field.
fn busy(page: &AtomicPage) -> Guest<'_> {
    let mut guest = attach(page).0;
    make_busy(&mut guest, page);
    guest
}

fn make_busy<'guest, 'page>(
    guest: &'guest mut Guest<'page>,
    page: &'page AtomicPage,
) -> &'guest Guest<'page> {
    let mut peer = RingPeer::new(page);
    let _ = write(guest, IMSC, 0x7FF);
    send(guest, &pattern(2060));
    assert_eq!(peer.put_in(&pattern(200)).bytes, 200);
    let _ = guest.backend_event();
    let _ = guest.receive_break();
    guest
}

#[test]
fn a_restored_device_goes_on() {
    let page = AtomicPage::new();
    let guest = busy(&page);
    let mut after = restored(&guest, &page);
    assert_eq!(after.counters(), guest.counters());
    assert_eq!(receive(&mut after).0, pattern(200));
    let mut peer = RingPeer::new(&page);
    let mut output = take(&mut peer).0;
    let _ = after.backend_event();
    output.extend(take(&mut peer).0);
    assert_eq!(output, pattern(2060));
}

/// A restore does not change the interrupt line.
#[test]
fn a_restore_is_no_event() {
    let page = AtomicPage::new();
    let mut guest = busy(&page);
    assert_eq!(restored(&guest, &page).pending(), guest.pending());
    assert!(!guest.pending().is_empty());
    let pending = read(&mut guest, RIS).value;
    let _ = write(&mut guest, 0x044, pending);
    let mut after = restored(&guest, &page);
    assert_eq!(read(&mut after, RIS), read(&mut guest, RIS));
}

/// Moved to another host, where a failed copy may have damaged the page.
#[test]
fn a_restore_publishes_its_indices() {
    let page = AtomicPage::new();
    let guest = busy(&page);
    let other = AtomicPage::new();
    restored(&guest, &other);
    for index in [3072, 3084] {
        assert_eq!(other.load_u32(index), page.load_u32(index));
    }
}

#[test]
fn wrong_bytes_say_what_is_wrong() {
    let page = AtomicPage::new();
    let good = busy(&page).save().0;
    let try_with = |offset: usize, value: u8| {
        let mut bytes = good;
        bytes[offset] = value;
        Uart::<RingPort<_>>::restore(&page, &bytes).err()
    };
    let restore = Uart::<RingPort<_>>::restore;
    assert_eq!(restore(&page, &[]).err(), Some(Invalid::Format));
    assert_eq!(restore(&page, &good[1..]).err(), Some(Invalid::Format));
    assert_eq!(
        restore(&page, &[good.as_slice(), &[0]].concat()).err(),
        Some(Invalid::Format)
    );
    assert_eq!(try_with(0, b'Q'), Some(Invalid::Format));
    assert_eq!(
        try_with(5, 2),
        Some(Invalid::Format),
        "another kind of line"
    );
    assert_eq!(try_with(6, 9), Some(Invalid::Version(9)));
    assert_eq!(try_with(12, 0x40), Some(Invalid::Field("UARTFBRD")));
    assert_eq!(try_with(16, 0x78), Some(Invalid::Field("UARTCR")));
    assert_eq!(try_with(23, 0x08), Some(Invalid::Field("UARTRIS")));
    assert_eq!(try_with(28, 33), Some(Invalid::Field("transmit FIFO")));
    assert_eq!(
        try_with(28, 11),
        Some(Invalid::Field("transmit FIFO")),
        "an entry past the end"
    );
    assert_eq!(try_with(61, 255), Some(Invalid::Field("receive FIFO")));
    assert_eq!(
        try_with(63, 0x10),
        Some(Invalid::Field("receive FIFO")),
        "no such error"
    );
    assert_eq!(try_with(151, 0xFF), Some(Invalid::Field("indices of out")));
    assert_eq!(
        try_with(SIZE - 1, 33),
        Some(Invalid::Field("characters in flight"))
    );
    assert_eq!(
        [
            Invalid::Format,
            Invalid::Version(9),
            Invalid::Field("UARTCR")
        ]
        .map(|e| e.to_string()),
        [
            "not a PL011 snapshot",
            "snapshot version 9, not 1 to 3",
            "impossible value in UARTCR"
        ],
    );
    assert_eq!(VERSION, 3);
}

/// An overlong FIFO, as QEMU once accepted: one character more than FEN=0 holds.
#[test]
fn a_fifo_past_its_depth_is_refused() {
    let page = AtomicPage::new();
    let mut bytes = busy(&page).save().0;
    bytes[14] &= !0x10;
    assert_eq!(
        Uart::<RingPort<_>>::restore(&page, &bytes).err(),
        Some(Invalid::Field("receive FIFO"))
    );
}

/// Nothing raises TXRIS with more in the FIFO than its level.
#[test]
fn a_transmit_interrupt_above_its_level_is_refused() {
    const IFLS: u16 = 0x034;
    const TXRIS: u8 = 0x20;
    let page = AtomicPage::new();
    let (mut guest, _peer) = attach(&page);
    // One eighth: 4 of 32.
    let _ = write(&mut guest, IFLS, 0);
    send(&mut guest, &pattern(2048 + 10));
    let mut bytes = guest.save().0;
    assert_eq!(bytes[22] & TXRIS, 0);
    assert!(Uart::<RingPort<_>>::restore(&page, &bytes).is_ok());
    bytes[22] |= TXRIS;
    assert_eq!(
        Uart::<RingPort<_>>::restore(&page, &bytes).err(),
        Some(Invalid::Field("UARTRIS"))
    );
}

/// An interrupt flagged as shown requires characters, and one flagged as cleared
/// must have been shown.
#[test]
fn an_interrupt_shown_of_nothing_is_refused() {
    for flag in [1 << 3, 1 << 4, 1 << 6, 1 << 7, 0b1100_1000] {
        let page = AtomicPage::new();
        let mut bytes = attach(&page).0.save().0;
        bytes[27] |= flag;
        let restored = Uart::<RingPort<_>>::restore(&page, &bytes);
        assert_eq!(restored.err(), Some(Invalid::Field("device flags")));
    }
}

/// A guest cannot set the configuration registers of an SBSA UART.
#[test]
fn an_sbsa_uart_that_was_configured_is_refused() {
    let page = AtomicPage::new();
    let good = attach_to(Profile::Sbsa, &page).0.save().0;
    assert_eq!(good[27] & 0b10_0000, 0b10_0000);
    for (offset, flaw) in [(8, 1), (10, 1), (14, 0x10), (17, 0x40), (18, 1), (20, 1)] {
        let mut bytes = good;
        bytes[offset] ^= flaw;
        let restored = Uart::<RingPort<_>>::restore(&page, &bytes);
        assert_eq!(restored.err(), Some(Invalid::Field("profile")), "{offset}");
    }
}

#[test]
fn a_restored_device_keeps_its_profile() {
    let page = AtomicPage::new();
    for (profile, line_control) in [(Profile::Pl011, 0x10), (Profile::Sbsa, 0)] {
        let (guest, _) = attach_to(profile, &page);
        let mut after = restored(&guest, &page);
        assert_eq!(read(&mut after, 0x02C).value, line_control);
        assert_eq!(
            read(&mut after, 0xFE0).value != 0,
            profile == Profile::Pl011
        );
        send(&mut after, &pattern(2048 + 32));
        assert_eq!(after.counters().dropped, 0, "FIFOs are enabled");
    }
}

/// The bytes of a text of hexadecimal numbers.
fn bytes_of(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let numbers = lines.flat_map(str::split_whitespace);
    numbers
        .map(|number| u8::from_str_radix(number, 16).expect("a byte"))
        .collect()
}

const VECTORS: [&str; 3] = [
    include_str!("snapshots/1.txt"),
    include_str!("snapshots/2.txt"),
    include_str!("snapshots/3.txt"),
];

/// The layout is a wire format: every version must be readable for ever.
#[test]
fn the_layout_is_pinned() {
    let page = AtomicPage::new();
    let (mut guest, _) = attach(&page);
    let _ = write(&mut guest, CR, 0xC301);
    let _ = write(&mut guest, IMSC, 0x070);
    send(&mut guest, b"x");
    assert_eq!(guest.save().0.to_vec(), bytes_of(VECTORS[2]));
}

/// Each version's snapshot restores the same device.
#[test]
fn every_version_is_read() {
    for (version, text) in (1..).zip(VECTORS) {
        let page = AtomicPage::new();
        let bytes = bytes_of(text);
        assert_eq!(bytes[6], version);
        let mut guest = Uart::restore(&page, &bytes).unwrap();
        assert_eq!(guest.save().0.to_vec(), bytes_of(VECTORS[2]));
        assert_eq!(read(&mut guest, CR).value, 0xC301, "{version}");
        assert_eq!(read(&mut guest, RIS).value, 0x20, "{version}");
        assert_eq!(page.load_u32(3084), 1, "{version}");
    }
    for version in [0, 4, 0x0100] {
        let mut bytes = bytes_of(VECTORS[2]);
        bytes[6..8].copy_from_slice(&u16::to_le_bytes(version));
        let refused = Uart::<RingPort<_>>::restore(AtomicPage::new(), &bytes).err();
        assert_eq!(refused, Some(Invalid::Version(version)));
    }
}

/// In an older version's snapshot, interrupts that are low although their condition
/// holds were cleared.
#[test]
fn what_an_older_version_cleared_stays_low() {
    // Three characters of 32, RTIM; the receive timeout armed or not.
    for (armed, status) in [(true, 0x40), (false, 0)] {
        let mut bytes = bytes_of(VECTORS[1]);
        bytes[22] = status;
        bytes[27] = u8::from(armed) << 2;
        bytes[61] = 3;
        bytes[62..68].copy_from_slice(b"a\0b\0c\0");
        let page = AtomicPage::new();
        let mut guest = Uart::restore(&page, &bytes).unwrap();
        assert_eq!(u32::from(guest.pending().bits()), u32::from(status));
        assert_eq!(receive(&mut guest).0, b"abc");
        bytes[22] = 0x50;
        let refused = Uart::<RingPort<_>>::restore(&page, &bytes).err();
        assert_eq!(refused, Some(Invalid::Field("UARTRIS")), "below its level");
    }
}

/// Refused bytes never change the page, wherever the flaw is.
#[test]
fn a_refused_restore_touches_nothing() {
    let page = AtomicPage::new();
    let good = busy(&page).save().0;
    let mut refused = 0;
    for at in 0..SIZE {
        let mut bytes = good;
        bytes[at] ^= 0xFF;
        let other = AtomicPage::new();
        other.store_u32(3072, 0x1234_5678);
        other.store_u32(3084, 0x8765_4321);
        if Uart::<RingPort<_>>::restore(&other, &bytes).is_err() {
            refused += 1;
            assert_eq!(other.load_u32(3072), 0x1234_5678, "{at}");
            assert_eq!(other.load_u32(3084), 0x8765_4321, "{at}");
        }
    }
    assert!(refused > 50, "{refused}");
}

/// Each bit of idle and of busy states in turn: refused, or a state that saves as
/// the same bytes and works.
#[test]
fn any_flipped_bit_is_refused_or_exact() {
    for profile in [Profile::Pl011, Profile::Sbsa] {
        let page = AtomicPage::new();
        let (mut guest, _) = attach_to(profile, &page);
        for good in [guest.save().0, make_busy(&mut guest, &page).save().0] {
            let mut refused = 0;
            // An older version is saved as the current one.
            for bit in (0..8 * SIZE).filter(|bit| bit / 8 != 6) {
                let mut bytes = good;
                bytes[bit / 8] ^= 1 << (bit % 8);
                match Uart::restore(&page, &bytes) {
                    Err(_) => refused += 1,
                    Ok(mut after) => {
                        assert_eq!(after.save().0, bytes, "bit {bit}");
                        assert!(receive(&mut after).0.len() <= 1024 + 32, "bit {bit}");
                    }
                }
            }
            // At least the header and the entries of an empty FIFO.
            assert!(refused > 8 * 8 + 8, "{refused} refused");
        }
    }
}

/// Counters are external input too: they wrap to 0. Found by the fuzzer.
#[test]
fn counts_at_their_end_go_round() {
    let page = AtomicPage::new();
    let mut bytes = attach(&page).0.save().0;
    // Dropped, overruns, doorbells; bytes out and in, resyncs.
    for at in (126..150).chain(167..191) {
        bytes[at] = 0xFF;
    }
    let mut guest = Uart::restore(&page, &bytes).unwrap();
    assert_eq!(send(&mut guest, &pattern(2048 + 33)), 2);
    assert_eq!(RingPeer::new(&page).put_in(b"in").bytes, 2);
    assert!(guest.backend_event().doorbell);
    assert_eq!(receive(&mut guest).0, b"in");
    for _ in 0..33 {
        let _ = guest.receive_break();
    }
    page.store_u32(3076, 0x8000_0000);
    let _ = guest.backend_event();
    let counters = guest.counters();
    let traffic = guest.backend().traffic();
    assert_eq!((traffic.bytes_out, traffic.bytes_in), (2047, 1));
    assert_eq!((counters.dropped, counters.overruns), (0, 0));
    assert_eq!((counters.doorbells, traffic.resyncs), (3, 0));
}

#[test]
fn any_other_length_is_refused() {
    let page = AtomicPage::new();
    let mut bytes = busy(&page).save().0.to_vec();
    bytes.resize(2 * SIZE, 0);
    for length in (0..=2 * SIZE).filter(|&length| length != SIZE) {
        let restored = Uart::<RingPort<_>>::restore(&page, &bytes[..length]);
        assert_eq!(restored.err(), Some(Invalid::Format), "{length} bytes");
    }
}

/// A line without state to save.
struct Nothing;

impl Backend for Nothing {
    fn try_send(&mut self, _byte: u8) -> Sent {
        Sent::Quiet
    }

    fn try_recv(&mut self) -> Option<u8> {
        None
    }

    fn waiting(&self) -> usize {
        0
    }
}

impl Persistent for Nothing {
    const KIND: u8 = 9;

    type Ground = ();

    type State = [u8; 0];

    fn save(&self) -> [u8; 0] {
        []
    }

    fn restore((): (), _state: &[u8; 0]) -> Result<Self, Invalid> {
        Ok(Self)
    }
}

/// Bytes that a line does not use are zero, for later versions.
#[test]
fn what_a_line_leaves_is_zero() {
    let mut bytes = Uart::new(Nothing).save().0;
    assert!(Uart::<Nothing>::restore((), &bytes).is_ok());
    bytes[SIZE - 2] = 1;
    let refused = Uart::<Nothing>::restore((), &bytes).err();
    assert_eq!(refused, Some(Invalid::Field("padding")));
}

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
