// SPDX-License-Identifier: MIT
//! The service's program on a fake host, with minimal browsers.

mod client;
mod hostile;
mod login;
mod terminal;
mod tls;
