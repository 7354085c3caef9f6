// SPDX-License-Identifier: MIT
//! D1: the device's identification (TRM 3.3.15 to 3.3.22).

use crate::registers::{fr, reg};
use crate::{Uart, Verdict};

cases! { "identity":
    identification_is_r1p5 "TRM 3.3.15-3.3.22; D1, R9",
    revision_matches_the_depth "TRM 2.4.3, 3.3.17; Linux AMBA; C8",
    identification_ignores_writes "TRM 3.3.15-3.3.22; D1",
}

const IDS: [u32; 8] = [0x11, 0x10, 0x34, 0x00, 0x0D, 0xF0, 0x05, 0xB1];

fn identification_is_r1p5(uart: &mut Uart<'_>) -> Verdict {
    for (offset, id) in (0xFE0..).step_by(4).zip(IDS) {
        uart.see(offset, id)?;
    }
    Ok(())
}

/// Linux's AMBA bus: part and designer in bits 19:0, and revision 3 or later
/// means FIFOs of 32. The receive FIFO shows its depth on any line.
fn revision_matches_the_depth(uart: &mut Uart<'_>) -> Verdict {
    let mut periphid = 0;
    for byte in 0..4 {
        periphid |= uart.read(0xFE0 + 4 * byte) << (8 * byte);
    }
    uart.check("part and designer", periphid & 0xF_FFFF, 0x4_1011)?;
    let depth = if periphid >> 20 & 0xF >= 3 { 32 } else { 16 };
    uart.fifos();
    for received in 1..=depth {
        uart.feed(b"x");
        uart.bit_is(reg::FR, fr::RXFF, received == depth)?;
    }
    Ok(())
}

fn identification_ignores_writes(uart: &mut Uart<'_>) -> Verdict {
    for (offset, id) in (0xFE0..).step_by(4).zip(IDS) {
        uart.write(offset, !id);
        uart.see(offset, id)?;
    }
    Ok(())
}
