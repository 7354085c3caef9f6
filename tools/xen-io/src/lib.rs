// SPDX-License-Identifier: MIT
//! Xen's interfaces for a privileged user program: hypercalls, mappings of other
//! domains' pages, event channels and xenstore, and a whole Xen host inside the
//! process ([`fake`]) with the same interface.
//!
//! Written from Xen's public headers (`xen/include/public`) and the kernel's
//! `include/uapi/xen`. Nothing depends on the version of the domctl interface:
//! xenstore reports whether a domain exists. Only the hypervisor's own messages
//! are read by a sysctl, whose version is found by trying.
//!
//! This crate holds the only unsafe code of the host side.

pub mod evtchn;
pub mod fake;
pub mod gntdev;
pub mod host;
pub mod inherited;
pub mod interface;
mod ioctl;
mod mapped;
pub mod mapping;
pub mod page;
pub mod peer;
pub mod privcmd;
pub mod types;
pub mod xenstore;

pub use interface::{EventChannels, Hypervisor, Platform};
pub use page::Page;
pub use privcmd::Privcmd;
pub use types::{DomId, Gfn, GrantRef, HvmParam, Port, Resource, Virq};
