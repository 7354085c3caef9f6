// SPDX-License-Identifier: MIT
//! The daemon as a service of the host: notifications to its manager, its messages,
//! and starting in the background.

pub mod daemonize;
pub mod diagnostics;
pub(crate) mod lock;
pub(crate) mod notify;
