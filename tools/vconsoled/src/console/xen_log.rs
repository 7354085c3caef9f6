// SPDX-License-Identifier: MIT
//! The Xen log: the hypervisor's own messages (`--log=hv`), as xenconsoled keeps
//! it, and without duplicates after a restart: the position in them is stored
//! with them, as for a guest's ring.

use std::io;
use std::sync::Arc;

use xen_io::{EventChannels, Hypervisor, Port, Virq};

use crate::buffer::{Checkpoint, OutputBuffer};
use crate::config::Config;
use crate::persist::state_dir::StateDir;
use crate::sink::log::{Log, LogOptions, Logs, Rotation, Style};

/// Bytes read in a slice.
const BUDGET: usize = 16 * 1024;

/// The file's name in xenconsoled.
const NAME: &str = "hypervisor.log";

/// Copies the hypervisor's messages to their log.
pub(crate) struct XenLog {
    port: Port,
    /// The port was notified, or more is left than one slice reads.
    due: bool,
    /// Index of the next byte.
    index: u32,
    output: Arc<OutputBuffer>,
    log: Log,
}

impl XenLog {
    /// Opens the log where the last daemon stopped, and binds the VIRQ for
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

    /// Applies another configuration.
    pub(crate) fn configure(&self, config: &Config) {
        self.log.configure(options(config));
    }

    /// Whether there may be something to read.
    pub(crate) fn is_due(&self) -> bool {
        self.due
    }

    /// The port of the VIRQ.
    pub(crate) fn port(&self) -> Port {
        self.port
    }

    /// Handles a notification of any port.
    pub(crate) fn on_event(&mut self, port: Port) {
        self.due |= port == self.port;
    }

    /// Reads available messages, within a budget.
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
