// SPDX-License-Identifier: MIT
//! `vconsole` and the daemon: what a user at a terminal, or a script, gets.

mod attaching;
mod display;
mod printing;

/// The words that a client begins with.
const GREETING: &str = "^T ? helps]\r\n";
