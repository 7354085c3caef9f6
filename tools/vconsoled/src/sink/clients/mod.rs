// SPDX-License-Identifier: MIT
//! Clients that a console has on sockets.

pub(crate) mod send_queue;
pub(crate) mod session;
pub(crate) mod set;
pub(crate) mod visitor;
