// SPDX-License-Identifier: MIT
//! Clients of a running QEMU: its monitor (QMP), and its gdb stub. Both work over a
//! socket, one request at a time.

#![forbid(unsafe_code)]

mod gdb;
mod monitor;

pub use gdb::Debugger;
pub use monitor::Monitor;
