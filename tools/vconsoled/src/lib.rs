// SPDX-License-Identifier: MIT
//! The console backend in the control domain: serves the rings of every
//! domain's PV console and UART, each with a pty and a log file of its own.
//!
//! One thread runs the [`Server`]: it waits for xenstore, event channels and
//! ptys at once and gives each console a bounded share of every turn.
//! [`source`] says which consoles a domain has and how to reach their rings,
//! [`console`] moves the bytes of one.
#![forbid(unsafe_code)]

mod attach;
mod audience;
mod channel;
pub mod config;
pub mod console;
mod control;
mod doorbell;
mod flow;
pub mod history;
mod hypervisor;
mod inbox;
mod kept;
mod listener;
pub mod log;
mod metrics;
pub mod options;
mod outbox;
pub mod privileges;
mod pty;
pub mod server;
mod service;
mod sockets;
pub mod source;
mod state;
mod viewer;
mod viewers;

pub use config::Config;
pub use control::{ConsoleStatus, Status};
pub use server::{Handle, Server};
