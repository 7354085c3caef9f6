// SPDX-License-Identifier: MIT
//! The log of the hypervisor's own messages (`--log=hv`), as xenconsoled keeps
//! it, and without writing them again after a restart: how far they were read is
//! kept with them, as for a guest's ring.

use std::io;
use std::sync::Arc;

use xen_io::{EventChannels, Hypervisor, Port, Virq};

use crate::buffer::{History, Mark};
use crate::config::Config;
use crate::persist::state_dir::State;
use crate::sink::log::{Log, Logs, Options, Rotation, Style};

/// Bytes taken before guests have their turn.
const BUDGET: usize = 16 * 1024;

/// What xenconsoled calls the file.
const NAME: &str = "hypervisor.log";

/// The hypervisor's messages on their way to their log.
pub(crate) struct Messages {
    port: Port,
    /// The port was notified, or there is more to read than a turn's worth.
    due: bool,
    /// Where to read on.
    index: u32,
    history: Arc<History>,
    log: Log,
}

impl Messages {
    /// Opens the log, where the last daemon stopped, and asks to be told of
    /// messages.
    pub(crate) fn open(
        config: &Config,
        state: &State,
        logs: &Logs,
        events: &mut dyn EventChannels,
    ) -> io::Result<Self> {
        let port = events.bind_virq(Virq::CON_RING)?;
        // The index starts anew with the host.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let history = Arc::new(state.open_hypervisor(boot.trim())?);
        let options = Options {
            style: Style {
                timestamps: config.log.hypervisor_timestamps,
                filter: config.log.filter,
            },
            rotation: Rotation {
                size: config.log.size.0,
                count: config.log.count,
            },
        };
        let path = config.log.dir.join(NAME);
        let log = logs.open(path, options, Arc::clone(&history), true);
        Ok(Self {
            port,
            due: true,
            index: history.mark().out_cons,
            history,
            log,
        })
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
    pub(crate) fn turn(
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
            let mark = Mark {
                ring: 0,
                out_cons: self.index,
            };
            self.history.append(&buffer[..length], mark)?;
            self.log.more(self.history.end());
            let allowed = self.history.end().saturating_sub(self.log.allowance());
            self.history.release(self.log.position().max(allowed));
        }
        Ok(())
    }
}
