// SPDX-License-Identifier: MIT
//! The device against its specification: the TRM (Arm DDI 0183G) by section,
//! what the drivers of real systems rely on, and the defects that other
//! emulators had. docs/requirements.md lists which test shows what.
#![expect(
    clippy::cast_possible_truncation,
    reason = "tests cut values to bytes on purpose"
)]

mod bench;
mod drivers;
mod errors;
mod identity;
mod interrupts;
mod loopback;
mod properties;
mod receive;
mod registers;
mod regressions;
mod transmit;
mod trap;
mod widths;
