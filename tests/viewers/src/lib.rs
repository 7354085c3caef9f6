// SPDX-License-Identifier: MIT
//! A host inside the test: the daemon on the fake Xen, a guest's end of a console,
//! and a user's programs, in a terminal or between pipes.
#![forbid(unsafe_code)]

mod guest;
mod host;

pub use guest::Guest;
pub use host::{Host, vconsole};
pub use terminal::{PATIENCE, Program, Terminal, noise, wait_for};
