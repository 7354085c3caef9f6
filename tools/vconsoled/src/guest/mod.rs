// SPDX-License-Identifier: MIT
//! The consoles of a domain, from xenstore.

pub(crate) mod discovery;
pub(crate) mod exchange;
mod follower;
pub mod nodes;
pub mod source;
pub(crate) mod xenbus;
