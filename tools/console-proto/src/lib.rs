// SPDX-License-Identifier: MIT
//! The protocol of the control socket, for the daemon and its clients
//! (docs/reference/protocol.md): a request is a line, its answer a line of JSON,
//! and a connection that is attached to a console then carries frames.
//!
//! [`archive`] and [`audit`] are file formats that daemon and client share;
//! [`browser`] is the protocol between browsers and vconsole-web. This crate has
//! data types and their encoding only: no socket, no file, no policy.
#![forbid(unsafe_code)]

mod answer;
pub mod archive;
mod attach;
pub mod audit;
pub mod browser;
pub mod frame;
mod request;
mod status;
mod tenant;
mod who;

pub use answer::{Answer, Code, Error, line};
pub use attach::{Attach, Attached, Domain, Exclusive, Mode, Resume};
pub use request::{MESSAGE_MAX, REQUEST_MAX, Request, To};
pub use status::{Row, Status, plain};
pub use tenant::Tenant;
pub use who::{Viewer, Who};

/// The version of requests and answers.
pub const VERSION: u32 = 1;
