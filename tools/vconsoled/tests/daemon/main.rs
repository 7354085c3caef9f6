// SPDX-License-Identifier: MIT
//! The daemon on the fake host, from the guest's end of the ring to the viewer's
//! end of the pty.

mod audit;
mod channels;
mod control;
mod discovery;
mod hostile;
mod hypervisor;
mod input_rate;
mod journal;
mod log_files;
mod log_upkeep;
mod logs;
mod lossy;
mod metrics;
mod names;
mod operators;
mod peer;
mod ptys;
mod recording;
mod reload;
mod schemas;
mod serving;
mod sessions;
mod sockets;
mod state;
mod support;
mod trouble;
mod viewers;
mod watch;
