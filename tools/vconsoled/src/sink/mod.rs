// SPDX-License-Identifier: MIT
//! Where output goes: a pty, clients on sockets, a log, journald; and rules that watch it.

pub(crate) mod audit;
pub(crate) mod clients;
pub(crate) mod journal;
pub mod log;
pub(crate) mod pty;
pub(crate) mod watch;
