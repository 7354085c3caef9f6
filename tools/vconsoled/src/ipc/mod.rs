// SPDX-License-Identifier: MIT
//! Sockets of the daemon for other programs.

pub(crate) mod caller;
pub(crate) mod control;
pub(crate) mod endpoints;
pub(crate) mod listener;
pub(crate) mod metrics;
