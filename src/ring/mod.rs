// SPDX-License-Identifier: MIT
//! The console ring: a page shared by the guest's side and a backend.
//!
//! [`port`] is the end that the UART uses, [`peer`] the end that a backend serves.
//! Neither trusts the other: an invalid index is counted and resynchronised, never
//! used to address memory.

pub mod fake;
pub mod index;
pub mod layout;
pub mod memory;
pub mod peer;
pub mod port;
