// SPDX-License-Identifier: MIT
//! Going on by another configuration, without a restart.

use super::Server;
use super::handle::Reload;
use crate::config::ConsoleConfig;

impl Server {
    /// Opens all logs again.
    pub(super) fn reopen_logs(&self) {
        self.manager.reloading();
        self.sinks.logs.reopen();
        self.manager.ready();
    }

    /// Takes over what can change while the daemon runs. A configuration that
    /// cannot be used changes nothing.
    pub(super) fn reload(&mut self, config: Reload) {
        match config {
            Ok(config) => {
                for key in &config.unknown {
                    tracing::warn!("the configuration has no key {key:?}; it is ignored");
                }
                let before: Vec<ConsoleConfig> = self.console_configs().collect();
                let stays = self.config.change_to(&config);
                let after: Vec<ConsoleConfig> = self.console_configs().collect();
                if !stays.is_empty() {
                    tracing::warn!("a restart is needed for a change of {}", stays.join(", "));
                }
                for (console, config) in self.served.consoles.values_mut().zip(&after) {
                    console.set_overflow(config.overflow);
                }
                // What a log looks like changes with its next console.
                let keeps = |(before, after): &(&ConsoleConfig, &ConsoleConfig)| {
                    ConsoleConfig {
                        overflow: after.overflow,
                        ..**before
                    } != **after
                };
                let kept = before.iter().zip(&after).filter(keeps).count();
                if kept > 0 {
                    tracing::warn!("{kept} consoles keep their logs as they are until a restart");
                }
                self.schedule.ready.extend(self.served.consoles.keys());
            }
            Err(why) => tracing::error!("the configuration stays as it was: {why}"),
        }
    }

    fn console_configs(&self) -> impl Iterator<Item = ConsoleConfig> {
        let consoles = self.served.consoles.values();
        consoles.map(|console| {
            self.config
                .console(&console.name, &console.slot.to_string())
        })
    }
}
