// SPDX-License-Identifier: MIT
//! Arm's PL011 UART as an emulated device for hypervisors.
//!
//! The device is the PrimeCell UART (PL011) r1p5 of Arm DDI 0183G, called "the
//! TRM" throughout. This crate holds no lock, does no I/O and knows no
//! hypervisor. Each layer uses only those above it in this list:
//!
//! - [`trap`]: a trapped guest access, decoded
//! - [`interrupt`], [`registers`], `fifo`: the parts
//! - `receiver`, `transmitter`: the two directions
//! - [`device`]: the register file; knows no line
//! - [`glance`]: the part of its state that drivers poll, in one word
//! - [`backend`], [`ring`]: what the line is made of
//! - [`outcome`]: what a caller has to do next
//! - [`uart`]: the device on its line, the front door
//! - [`snapshot`]: its state as bytes
#![no_std]
#![forbid(unsafe_code)]

pub mod backend;
pub mod device;
mod fifo;
pub mod glance;
pub mod interrupt;
pub mod outcome;
mod receiver;
pub mod registers;
pub mod ring;
pub mod snapshot;
mod transmitter;
pub mod trap;
pub mod uart;

pub use backend::Backend;
pub use glance::Glance;
pub use interrupt::Interrupts;
pub use outcome::Outcome;
pub use registers::Profile;
pub use trap::Access;
pub use uart::Uart;
