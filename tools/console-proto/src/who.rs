// SPDX-License-Identifier: MIT
//! The answer to `who`.

use serde::{Deserialize, Serialize};

/// Everybody who is attached.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Who {
    /// Version of this format.
    pub version: u32,
    /// By domain and console.
    pub viewers: Vec<Viewer>,
}

/// Somebody who is attached to a console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Viewer {
    /// The domain.
    pub domid: u16,
    /// Its name.
    pub name: String,
    /// Which of its consoles.
    pub console: String,
    /// Which user; it is not known of whom has the pty open.
    pub uid: Option<u32>,
    /// Which process connected.
    pub pid: Option<u32>,
    /// Where the user says to come from, such as an address.
    pub origin: Option<String>,
    /// By what way: `control`, `socket` (a console's own) or `pty`.
    pub way: String,
    /// Whether what it types reaches the guest.
    pub types: bool,
    /// Whether nobody else's does.
    pub exclusive: bool,
    /// Since when, in seconds since 1970.
    pub since: Option<u64>,
    /// For how many seconds it has typed nothing.
    pub idle: Option<u64>,
}
