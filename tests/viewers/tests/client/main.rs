// SPDX-License-Identifier: MIT
//! `vconsole` and the daemon: a user at a terminal, or a script.

mod attaching;
mod display;
mod printing;

/// The end of a client's greeting.
const GREETING: &str = "^T ? helps]\r\n";
