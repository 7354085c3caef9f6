// SPDX-License-Identifier: MIT
//! Sinks of output: a pty, clients on sockets, a log, journald; and watch rules.

pub(crate) mod audit;
pub(crate) mod clients;
pub(crate) mod journal;
pub mod log;
pub(crate) mod pty;
pub(crate) mod watch;
