// SPDX-License-Identifier: MIT
//! Any bytes as a snapshot, on any page: refused, or a working device. It saves as the
//! same bytes if they are of the newest version.

use vpl011::ring::fake::AtomicPage;
use vpl011::ring::memory::RingMemory;
use vpl011::ring::port::RingPort;
use vpl011::trap::Width;
use vpl011::{Access, Uart};

/// Bytes of a snapshot; what follows them in the input goes into the page.
const SIZE: usize = 192;

/// Registers that are read and written back.
const REGISTERS: [u16; 14] = [
    0x000, 0x004, 0x018, 0x020, 0x024, 0x028, 0x02c, 0x030, 0x034, 0x038, 0x03c, 0x040, 0x044,
    0x048,
];

/// A snapshot, and the indices of a page.
pub fn run(data: &[u8]) {
    let (snapshot, indices) = data.split_at(data.len().min(SIZE));
    let page = AtomicPage::new();
    for (at, byte) in indices.iter().take(32).enumerate() {
        page.store_u8(3072 + at, *byte);
    }
    let Ok(mut uart) = Uart::<RingPort<_>>::restore(&page, snapshot) else {
        return;
    };
    // A snapshot of an earlier version is saved as the newest.
    if snapshot[6..8] == [3, 0] {
        assert_eq!(uart.save().0, snapshot, "it saves as something else");
    }
    assert_eq!(
        uart.backend().traffic().resyncs,
        u64::from_le_bytes(word(snapshot, 183))
    );
    for offset in REGISTERS {
        let access = Access::new(offset, Width::Word);
        let value = uart.read(access).value;
        let outcome = uart.write(access, value);
        assert_eq!(outcome.pending, uart.pending());
    }
    let _ = uart.backend_event();
    // In any state, the characters come to an end: those it had counted in the ring,
    // those it finds there afterwards, and those in its FIFO.
    for _ in 0..2 * 1024 + 64 {
        let _ = uart.read(Access::new(0x000, Width::Word));
    }
    let flags = uart.read(Access::new(0x018, Width::Word)).value;
    assert_eq!(flags & 0x50, 0x10, "RXFE and not RXFF, of {flags:#x}");
    let again = uart.save();
    let restored = Uart::<RingPort<_>>::restore(&page, &again.0).expect("what was just saved");
    assert_eq!(restored.save(), again);
}

fn word(bytes: &[u8], at: usize) -> [u8; 8] {
    std::array::from_fn(|byte| bytes[at + byte])
}
