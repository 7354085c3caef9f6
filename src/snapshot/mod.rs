// SPDX-License-Identifier: MIT
//! The state of a UART as bytes, for a guest that is saved or moved.
//!
//! A snapshot holds what cannot be derived: registers, FIFOs, interrupts,
//! private ring indices, counters. The ring page itself is memory, and travels
//! as memory does.
//!
//! Snapshots come from outside. [`Uart::restore`](crate::Uart::restore) checks
//! every field and the relations between them, and of this version accepts
//! exactly the bytes that [`Uart::save`](crate::Uart::save) can produce. Nothing
//! outside has changed when it refuses.

mod invalid;
mod layout;
mod older;
mod persistent;
mod ring;

pub use invalid::{Invalid, VERSION};
pub use layout::{LINE_SIZE, SIZE};
pub use persistent::{Persistent, Snapshot};
pub use ring::RingState;
