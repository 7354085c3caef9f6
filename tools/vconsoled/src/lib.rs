// SPDX-License-Identifier: MIT
//! The console backend in the control domain: serves the rings of every domain's
//! PV console and UART, each with its own pty and log file.
//!
//! One thread runs the [`Server`]: it waits for xenstore, event channels and ptys
//! at once and gives each console a bounded slice. [`guest`] finds a domain's
//! consoles and their rings; [`console`] moves the bytes of one.
#![forbid(unsafe_code)]

mod access;
pub mod buffer;
mod channel;
pub mod config;
pub mod confine;
pub mod console;
pub mod guest;
mod input;
mod ipc;
mod names;
pub mod options;
mod persist;
mod ring;
pub mod server;
pub mod service;
pub mod sink;

pub use config::Config;
pub use server::{Handle, Server};
