// SPDX-License-Identifier: MIT
//! Sockets by which other programs reach the daemon.

pub(crate) mod caller;
pub(crate) mod control;
pub(crate) mod endpoints;
pub(crate) mod listener;
pub(crate) mod metrics;
