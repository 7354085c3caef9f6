// SPDX-License-Identifier: MIT
//! A PL011 written from its manual, beside the device: [`Case::run`] runs both, and
//! panics where they differ.
//!
//! The oracle shares nothing with the root's `src/`: neither tables nor state.
#![forbid(unsafe_code)]

mod differential;
mod manual;
mod uart;

pub use differential::{At, Case, Step, Wide};
