// SPDX-License-Identifier: MIT
#![doc = include_str!("../docs/reference/crate.md")]
//!
//! # Inside
//!
//! "The TRM" is Arm DDI 0183G throughout. Each layer uses only those above it in
//! this list:
//!
//! - [`access`]: an access of the guest
//! - `trap`, a feature: one decoded from a trap's syndrome
//! - [`Interrupts`], `fifo`, `registers`, `modem`: the parts
//! - `receiver`, `transmitter`: the two directions
//! - [`glance`]: the part of its state that drivers poll, in one word
//! - [`outcome`]: what a caller has to do next
//! - [`backend`]: the far side of the line
//! - `device`: the register file over a line
//! - [`uart`]: the entry points
//! - [`ring`]: Xen's console ring as a line
//! - `snapshot`, a feature: its state as bytes
//! - `vm_device`, a feature: the crate `vm-device`'s MMIO trait
#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod backend;
mod device;
mod fifo;
pub mod glance;
mod interrupt;
mod modem;
pub mod outcome;
mod receiver;
mod registers;
pub mod ring;
#[cfg(feature = "snapshot")]
pub mod snapshot;
mod transmitter;
#[cfg(feature = "trap")]
pub mod trap;
pub mod uart;
#[cfg(feature = "vm-device")]
pub mod vm_device;

pub use access::Access;
pub use backend::Backend;
pub use glance::Glance;
pub use interrupt::Interrupts;
pub use outcome::Outcome;
pub use registers::Profile;
pub use uart::Uart;
