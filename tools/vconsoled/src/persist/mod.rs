// SPDX-License-Identifier: MIT
//! State that survives the daemon.

pub(crate) mod fd_store;
pub(crate) mod state_dir;
