// SPDX-License-Identifier: MIT
//! The tables `[[console]]`: settings for some consoles, and the result for one.

use serde::{Deserialize, Serialize};

use super::logs::Filter;
use super::sessions::Banner;
use super::value::{InputRate, Pattern, Size};
use super::{Config, History, Overflow};

/// Settings that differ for some consoles.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Rule {
    /// Domains that the rule is for, by name.
    pub domain: Pattern,
    /// Consoles that the rule is for, such as `vuart0`.
    pub console: Pattern,
    /// Whether there is a log.
    pub log: Option<bool>,
    /// See [`super::Logs::timestamps`].
    pub timestamps: Option<bool>,
    /// See [`super::Logs::filter`].
    pub filter: Option<Filter>,
    /// See [`super::Logs::size`].
    pub size: Option<Size>,
    /// See [`super::Logs::count`].
    pub count: Option<u32>,
    /// See [`super::Logs::record`].
    pub record: Option<bool>,
    /// Whether input is recorded too.
    pub record_input: Option<bool>,
    /// See [`super::Logs::journal`].
    pub journal: Option<bool>,
    /// See [`super::Logs::journal_rate`].
    pub journal_rate: Option<u32>,
    /// See [`super::Logs::journal_burst`].
    pub journal_burst: Option<u32>,
    /// See [`Config::history`].
    pub history: Option<History>,
    /// See [`Config::overflow`].
    pub overflow: Option<Overflow>,
    /// See [`Config::input_rate`].
    pub input_rate: Option<InputRate>,
    /// See [`Config::lossy`].
    pub lossy: Option<bool>,
    /// See [`super::Sessions::idle_timeout`].
    pub idle_timeout: Option<u32>,
    /// See [`super::Sessions::banner`].
    pub banner: Option<Banner>,
}

impl Rule {
    /// Whether the rule is for a console, by the names of its domain and its own.
    pub(super) fn fits(&self, domain: &str, console: &str) -> bool {
        self.domain.matches(domain) && self.console.matches(console)
    }
}

/// The settings of one console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub struct ConsoleConfig {
    /// Whether there is a log.
    pub log: bool,
    /// See [`super::Logs::timestamps`].
    pub timestamps: bool,
    /// See [`super::Logs::filter`].
    pub filter: Filter,
    /// See [`super::Logs::size`].
    pub size: Size,
    /// See [`super::Logs::count`].
    pub count: u32,
    /// See [`super::Logs::record`].
    pub record: bool,
    /// See [`Rule::record_input`].
    pub record_input: bool,
    /// See [`super::Logs::journal`].
    pub journal: bool,
    /// See [`super::Logs::journal_rate`].
    pub journal_rate: u32,
    /// See [`super::Logs::journal_burst`].
    pub journal_burst: u32,
    /// See [`Config::history`].
    pub history: History,
    /// See [`Config::overflow`].
    pub overflow: Overflow,
    /// See [`Config::input_rate`].
    pub input_rate: InputRate,
    /// See [`Config::lossy`].
    pub lossy: bool,
    /// See [`super::Sessions::idle_timeout`].
    pub idle_timeout: u32,
}

impl Config {
    /// The settings of a console, by its domain's name and its own.
    #[must_use]
    pub fn console(&self, domain: &str, console: &str) -> ConsoleConfig {
        let logs = &self.log;
        let general = ConsoleConfig {
            log: logs.guests,
            timestamps: logs.timestamps,
            filter: logs.filter,
            size: logs.size,
            count: logs.count,
            record: logs.record,
            record_input: false,
            journal: logs.journal,
            journal_rate: logs.journal_rate,
            journal_burst: logs.journal_burst,
            history: self.history,
            overflow: self.overflow,
            input_rate: self.input_rate,
            lossy: self.lossy,
            idle_timeout: self.sessions.idle_timeout,
        };
        let config = self
            .rules
            .iter()
            .filter(|rule| rule.fits(domain, console))
            .fold(general, |config, rule| ConsoleConfig {
                log: rule.log.unwrap_or(config.log),
                timestamps: rule.timestamps.unwrap_or(config.timestamps),
                filter: rule.filter.unwrap_or(config.filter),
                size: rule.size.unwrap_or(config.size),
                count: rule.count.unwrap_or(config.count),
                record: rule.record.unwrap_or(config.record),
                record_input: rule.record_input.unwrap_or(config.record_input),
                journal: rule.journal.unwrap_or(config.journal),
                journal_rate: rule.journal_rate.unwrap_or(config.journal_rate),
                journal_burst: rule.journal_burst.unwrap_or(config.journal_burst),
                history: rule.history.unwrap_or(config.history),
                overflow: rule.overflow.unwrap_or(config.overflow),
                input_rate: rule.input_rate.unwrap_or(config.input_rate),
                lossy: rule.lossy.unwrap_or(config.lossy),
                idle_timeout: rule.idle_timeout.unwrap_or(config.idle_timeout),
            });
        let overflow = if config.lossy {
            Overflow::Discard
        } else {
            config.overflow
        };
        ConsoleConfig { overflow, ..config }
    }
}
