// SPDX-License-Identifier: MIT
//! Applies a changed configuration, without a restart.

use std::time::Instant;

use super::Server;
use super::handle::Reload;
use crate::config::History;
use crate::console::Console;

impl Server {
    /// Reopens all logs.
    pub(super) fn reopen_logs(&self) {
        self.manager.reloading();
        self.sinks.logs.reopen();
        self.manager.ready();
    }

    /// Applies the settings that can change at run time. An unusable
    /// configuration changes nothing.
    pub(super) fn reload(&mut self, config: Reload) {
        match config {
            Ok((config, found)) => {
                for key in &config.unknown {
                    tracing::warn!("the configuration has no key {key:?}; it is ignored");
                }
                let before = self.histories();
                let stays = self.config.change_to(&config);
                if !stays.is_empty() {
                    tracing::warn!("a restart is needed for a change of {}", stays.join(", "));
                }
                let kept = before.iter().zip(self.histories());
                let kept = kept.filter(|(before, after)| *before != after).count();
                if kept > 0 {
                    tracing::warn!("{kept} consoles keep their history as it is until a restart");
                }
                let served: Vec<usize> = self.served.consoles.keys().copied().collect();
                for token in served {
                    self.set_logs(token);
                    self.set_watch(token);
                    if let Some(console) = self.served.consoles.get_mut(&token) {
                        let slot = console.slot.to_string();
                        let config = self.config.console(&console.name, &slot);
                        console.set_overflow(config.overflow);
                        console.set_lossy(config.lossy);
                        console.set_input_rate(config.input_rate, Instant::now());
                    }
                }
                if let Some(xen_log) = &self.xen_log {
                    xen_log.configure(&self.config);
                }
                let audit = &self.config.audit;
                self.audit.set_journal(audit.journal);
                self.audit.set_limit(audit.rate, audit.burst);
                self.change_rules(found);
                self.set_retention();
                self.look_for_idle();
                self.schedule.ready.extend(self.served.consoles.keys());
            }
            Err(why) => tracing::error!("the configuration stays as it was: {why}"),
        }
    }

    fn histories(&self) -> Vec<History> {
        let consoles = self.served.consoles.values();
        let config = |console: &Console| {
            let slot = console.slot.to_string();
            self.config.console(&console.name, &slot)
        };
        consoles.map(|console| config(console).history).collect()
    }
}
