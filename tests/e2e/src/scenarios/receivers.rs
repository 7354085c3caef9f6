// SPDX-License-Identifier: MIT
//! Input for drivers that drain and then clear, or enable only RTIM: on other
//! PL011s some of it is stuck until the next key.

use anyhow::{Context, Result};

use crate::console::{Console, Line};
use crate::guest::Config;
use crate::pattern;
use crate::report::Report;
use crate::scenarios::transfer::TRANSFER;

/// The drivers of `tests/firmware/src/receivers.rs`, in its order.
const DRIVERS: [&str; 4] = [
    "RXIM, no FIFOs",
    "RXIM and RTIM, FIFOs",
    "RTIM alone, no FIFOs",
    "RTIM alone, FIFOs",
];

/// Pastes 64 KiB into each driver.
pub(crate) fn receivers(report: &mut Report) -> Result<()> {
    let guest = Config::firmware("receivers", "receivers.bin")
        .pl011()
        .create()?;
    let mut console = Console::open(&guest.name, Line::Vuart)?;
    for (seed, driver) in (60..).zip(DRIVERS) {
        console.expect(&format!("<{driver}>\r\n"), TRANSFER)?;
        let sent = pattern::typeable(seed, pattern::LEN);
        console.send_bytes(&sent, TRANSFER)?;
        console.expect("[", TRANSFER)?;
        let came = console.expect("]", TRANSFER)?;
        let came = String::from_utf8_lossy(&came);
        let (came, interrupts) = came.rsplit_once(' ').context("no interrupts")?;
        report.check_eq(
            format_args!("{driver}: 64 KiB, whole and in order"),
            &came,
            &format!("{} {:08x}", sent.len(), fletcher(&sent)).as_str(),
        );
        let interrupts: usize = interrupts.parse()?;
        report.check(
            format_args!("{driver}: interrupts, at most two a character"),
            (1..=2 * sent.len()).contains(&interrupts),
            interrupts,
        );
    }
    Ok(())
}

/// Fletcher's checksum of 32 bits, over bytes.
pub(super) fn fletcher(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (0_u32, 0_u32);
    for &byte in bytes {
        low = (low + u32::from(byte)) % 0xFFFF;
        high = (high + low) % 0xFFFF;
    }
    high << 16 | low
}
