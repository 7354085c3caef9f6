// SPDX-License-Identifier: MIT
//! The images are the binaries of this package; `cargo xtask` builds them.
//! What the two that try published drivers have in common is here.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_os = "none")]
mod conversation;

#[cfg(target_os = "none")]
pub use conversation::{Driver, converse};
