// SPDX-License-Identifier: MIT
//! What outlives the daemon.

pub(crate) mod fd_store;
pub(crate) mod state_dir;
