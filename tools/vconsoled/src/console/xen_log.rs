// SPDX-License-Identifier: MIT
//! The Xen log: the hypervisor's own messages (`--log=hv`), as xenconsoled keeps
//! it, and without writing them again after a restart: how far they were read is
//! kept with them, as for a guest's ring.

use std::io;
use std::sync::Arc;

use xen_io::{EventChannels, Hypervisor, Port, Virq};

use crate::buffer::{Checkpoint, OutputBuffer};
use crate::config::Config;
use crate::persist::state_dir::StateDir;
use crate::sink::log::{Log, LogOptions, Logs, Rotation, Style};

/// Bytes taken in a slice.
const BUDGET: usize = 16 * 1024;

/// What xenconsoled calls the file.
const NAME: &str = "hypervisor.log";

/// The hypervisor's messages on their way to their log.
pub(crate) struct XenLog {
    port: Port,
    /// The port was notified, or there is more to read than one slice takes.
    due: bool,
    /// Where to read on.
    index: u32,
    output: Arc<OutputBuffer>,
    log: Log,
}

impl XenLog {
    /// Opens the log, where the last daemon stopped, and asks to be told of
    /// messages.
    pub(crate) fn open(
        config: &Config,
        state: &StateDir,
        logs: &Logs,
        events: &mut dyn EventChannels,
    ) -> io::Result<Self> {
        let port = events.bind_virq(Virq::CON_RING)?;
        let output = Arc::new(state.open_hypervisor()?);
        let path = config.log.dir.join(NAME);
        let log = logs
            .open([path], options(config), Arc::clone(&output))
            .ok_or(io::ErrorKind::AlreadyExists)?;
        Ok(Self {
            port,
            due: true,
            index: output.checkpoint().out_cons,
            output,
            log,
        })
    }

    /// Goes on by another configuration.
    pub(crate) fn configure(&self, config: &Config) {
        self.log.configure(options(config));
    }

    /// Whether there may be something to read.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// The port that says so.
    pub(crate) fn port(&self) -> Port {
        self.port
    }

    /// A port was notified; it may be this one.
    pub(crate) fn on_event(&mut self, port: Port) {
        self.due |= port == self.port;
    }

    /// Reads what there is, within bounds.
    pub(crate) fn run_slice(
        &mut self,
        hypervisor: &dyn Hypervisor,
        events: &mut dyn EventChannels,
    ) -> io::Result<()> {
        let mut buffer = [0; 2048];
        for _ in 0..BUDGET / buffer.len() {
            let length = hypervisor.read_console(&mut self.index, &mut buffer)?;
            if length == 0 {
                self.due = false;
                return events.unmask(self.port);
            }
            let checkpoint = Checkpoint {
                ring: 0,
                out_cons: self.index,
            };
            self.output.append(&buffer[..length], checkpoint)?;
            self.log.more(self.output.end());
            let allowed = self.output.end().saturating_sub(self.log.allowance());
            self.output.release(self.log.position().max(allowed));
        }
        Ok(())
    }
}

fn options(config: &Config) -> LogOptions {
    LogOptions {
        style: Style {
            timestamps: config.log.hypervisor_timestamps,
            filter: config.log.filter,
        },
        rotation: Rotation {
            size: config.log.size.0,
            count: config.log.count,
        },
    }
}
