// SPDX-License-Identifier: MIT
//! Xen's interfaces to a privileged user program: hypercalls, mappings of
//! other domains' pages, event channels and xenstore, with a whole Xen host
//! inside the process ([`fake`]) behind the same front.
//!
//! Written from Xen's public headers (`xen/include/public`) and the kernel's
//! `include/uapi/xen`. Nothing depends on the version of the domctl interface:
//! whether a domain lives is asked of xenstore. Only the hypervisor's own
//! messages are read by a sysctl, whose version is found by trying.
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
