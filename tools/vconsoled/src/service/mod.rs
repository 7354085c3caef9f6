// SPDX-License-Identifier: MIT
//! The daemon as a service of the host: what its manager is told, where its
//! messages go, and how it goes into the background.

pub mod daemonize;
pub mod diagnostics;
pub(crate) mod lock;
pub(crate) mod notify;
