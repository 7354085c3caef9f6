// SPDX-License-Identifier: MIT
//! Which consoles a domain has.

pub mod source;
pub(crate) mod xenbus;
