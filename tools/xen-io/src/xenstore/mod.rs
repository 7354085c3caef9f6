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
    /// The changed path, as xenstored writes it.
    pub path: String,
    /// The token of the watch.
    pub token: String,
}

/// A domain's access to a node.
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

/// One entry of a node's permissions. The first entry of a list names the owner,
/// which always has full access, and the access of all domains that are not
/// listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The domain.
    pub domid: DomId,
    /// Its access.
    pub access: Access,
}

impl Permission {
    /// The permissions of a node that only the control domain may access.
    pub const DOM0_ONLY: Self = Self {
        domid: DomId::DOM0,
        access: Access::None,
    };
}

/// Path of a domain's own nodes.
#[must_use]
pub fn domain_path(domid: DomId) -> String {
    format!("/local/domain/{domid}")
}

/// Whether an error means that the node does not exist.
#[must_use]
pub fn is_missing(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOENT)
}
