// SPDX-License-Identifier: MIT
//! Clients of a QEMU that runs: its monitor (QMP), and its stub for gdb. Both are
//! asked over a socket, one request at a time.

#![forbid(unsafe_code)]

mod gdb;
mod monitor;

pub use gdb::Debugger;
pub use monitor::Monitor;
