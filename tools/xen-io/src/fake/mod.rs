// SPDX-License-Identifier: MIT
//! A Xen host inside the process: domains with their pages and ports behind
//! [`Hypervisor`](crate::Hypervisor) and [`EventChannels`](crate::EventChannels),
//! and a xenstored with the real protocol over sockets.
//!
//! Pages are memory files, so mappings are real; the events' descriptor is an
//! eventfd, so an event loop waits on it like on a real one. The caller acts as
//! the guests, and has their ends.
//!
//! Programs in other processes connect by a socket ([`Machine::listen`],
//! [`Platform::connect_fake`](crate::Platform::connect_fake)), so that one can be
//! killed and replaced.

mod events;
mod frontend;
mod machine;
mod remote;
mod store;
mod tree;

pub use events::Line;
pub use frontend::Frontend;
pub use machine::{Console, Machine};
pub use store::{Stopped, Store};
