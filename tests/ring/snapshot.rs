// SPDX-License-Identifier: MIT
//! A device that is saved, restored and continued behaves like one that was not.

use vpl011::backend::Sent;
use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::peer::RingPeer;
use vpl011::ring::port::RingPort;
use vpl011::snapshot::{Invalid, Persistent, SIZE, VERSION};
use vpl011::{Backend, Profile, Uart};

use crate::{Guest, attach, attach_to, pattern, read, receive, send, take, write};

const IMSC: u16 = 0x038;
const RIS: u16 = 0x03C;

fn restored<'page>(guest: &Guest, page: &'page AtomicPage) -> Guest<'page> {
    Uart::restore(page, &guest.save().0).unwrap()
}

/// A guest with a value in every field.
pub(crate) fn busy(page: &AtomicPage) -> Guest<'_> {
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
fn a_restored_device_continues() {
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
fn each_kind_of_wrong_bytes_has_its_error() {
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

/// Refused bytes never change the page, wherever the flaw is.
#[test]
fn a_refused_restore_changes_nothing() {
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
