// SPDX-License-Identifier: MIT
//! Xenstore, over its socket or the kernel's device: a client, and the wire
//! format that it shares with the fake server.

mod client;
pub(crate) mod wire;

use std::io;

pub use client::{Client, DEVICE};
use rustix::io::Errno;

use crate::types::DomId;

/// A change under a watched path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// What changed, as xenstored spells it.
    pub path: String,
    /// The token that the watch was set with.
    pub token: String,
}

/// What a domain may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Both.
    Both,
}

/// One entry of a node's permissions. The first entry of a list names the
/// owner, whose own access is always full, and the access of everyone not
/// listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Whom it is about.
    pub domid: DomId,
    /// What they may do.
    pub access: Access,
}

impl Permission {
    /// The permissions of a node that only the control domain may touch.
    pub const DOM0_ONLY: Self = Self {
        domid: DomId::DOM0,
        access: Access::None,
    };
}

/// Where a domain's own nodes are.
#[must_use]
pub fn domain_path(domid: DomId) -> String {
    format!("/local/domain/{domid}")
}

/// Whether an error says that the node does not exist.
#[must_use]
pub fn is_missing(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOENT)
}
