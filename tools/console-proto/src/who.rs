// SPDX-License-Identifier: MIT
//! The answer to `who`.

use serde::{Deserialize, Serialize};

/// Every attached viewer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Who {
    /// Version of this format.
    pub version: u32,
    /// By domain and console.
    pub viewers: Vec<Viewer>,
}

/// A viewer of a console.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Viewer {
    /// The domain.
    pub domid: u16,
    /// Its name.
    pub name: String,
    /// The console.
    pub console: String,
    /// The user; unknown for a pty.
    pub uid: Option<u32>,
    /// The process that connected.
    pub pid: Option<u32>,
    /// The user's origin as the client states it, such as an address.
    pub origin: Option<String>,
    /// The way it is attached: `control`, `socket` (the console's own) or `pty`.
    pub way: String,
    /// Whether its input reaches the guest.
    pub types: bool,
    /// Whether it types exclusively.
    pub exclusive: bool,
    /// When it attached, in seconds since 1970.
    pub since: Option<u64>,
    /// Seconds since its last input.
    pub idle: Option<u64>,
}
