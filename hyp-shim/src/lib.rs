// SPDX-License-Identifier: MIT
//! The device behind a C ABI, for a hypervisor written in C.
//!
//! `include/vpl011.h` is the contract; this crate is its Rust side, with all of its
//! unsafe code: [`abi`] holds the C types, [`entry`] the functions, [`memory`] the
//! shared page, [`mod@line`] the UART's line, [`snapshot`] the functions that save and
//! restore. No allocation, no lock, no state outside the caller's storage.
#![cfg_attr(target_os = "none", no_std)]

pub mod abi;
pub mod entry;
pub mod line;
pub mod memory;
#[cfg(target_os = "none")]
mod panic;
#[cfg(feature = "snapshot")]
pub mod snapshot;
