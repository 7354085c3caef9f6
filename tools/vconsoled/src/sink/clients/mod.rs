// SPDX-License-Identifier: MIT
//! Clients on a console's sockets.

pub(crate) mod send_queue;
pub(crate) mod session;
pub(crate) mod set;
pub(crate) mod visitor;
