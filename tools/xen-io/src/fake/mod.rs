// SPDX-License-Identifier: MIT
//! A Xen host inside the process: domains with their pages and ports behind
//! [`Hypervisor`](crate::Hypervisor) and [`EventChannels`](crate::EventChannels),
//! and a xenstored that speaks the real protocol over sockets.
//!
//! Pages are memory files, so that a mapping is a real mapping; the events'
//! descriptor is an eventfd, so that an event loop waits on it as on the real
//! one. What a guest does is left to the caller, who holds its ends.
//!
//! Programs in other processes reach it by a socket ([`Machine::listen`],
//! [`Platform::connect_fake`](crate::Platform::connect_fake)), so that one can
//! be killed and another take its place.

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
