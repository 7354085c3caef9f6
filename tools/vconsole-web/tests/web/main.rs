// SPDX-License-Identifier: MIT
//! The service's program on a fake host, and browsers in the small.

mod client;
mod hostile;
mod login;
mod terminal;
mod tls;
