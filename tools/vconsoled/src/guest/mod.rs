// SPDX-License-Identifier: MIT
//! Which consoles a domain has, by what xenstore says of it.

pub(crate) mod discovery;
pub(crate) mod exchange;
mod follower;
pub mod nodes;
pub mod source;
pub(crate) mod xenbus;
