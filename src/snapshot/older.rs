// SPDX-License-Identifier: MIT
//! Snapshots of versions 1 and 2.
//!
//! Their bytes lie where those of version 3 do. UARTRIS is whole, the flags say
//! other things, and the last byte is what was left of a burst of 32 characters;
//! version 1 knew none, and has 0 there.

use super::invalid::{Invalid, check, pack, unpack};
use super::layout::Layout;
use crate::device::Pl011;
use crate::fifo::DEPTH;
use crate::interrupt::Interrupts;

/// The device, and the doorbells it asked for.
pub(super) fn device(mut layout: Layout) -> Result<(Pl011, u64), Invalid> {
    let [unseen, overrun, armed, waiting, held, sbsa] = unpack(layout.flags, "device flags")?;
    let burst = if layout.version.get() == 1 { 0 } else { DEPTH };
    check(usize::from(layout.in_flight) <= burst, "burst")?;
    layout.in_flight = unseen.into();
    let raw = Interrupts::from_bits_retain(layout.raw.get());
    layout.raw = (raw - Interrupts::INPUT).bits().into();
    layout.flags = pack([held, overrun, false, false, false, sbsa]);
    let (mut device, doorbells) = layout.device()?;
    let full = device.receiver_is_full();
    check(full || !(waiting || held), "device flags")?;
    // What would be raised now, and was not, was cleared; but RT was also 0
    // while more waited, and is 1 then by now.
    let mut low = device.raw() & (Interrupts::INPUT - raw);
    low.set(Interrupts::RT, low.contains(Interrupts::RT) && !armed);
    let possible = device.raw().contains(raw & Interrupts::INPUT);
    check(possible, "UARTRIS")?;
    (device.receiver.shown, device.receiver.cleared) = (low, low);
    Ok((device, doorbells))
}
