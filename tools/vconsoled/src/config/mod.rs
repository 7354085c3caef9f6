// SPDX-License-Identifier: MIT
//! The configuration: plain data, read from a TOML file and the command line.
//! Every value is checked when it is read, so an error has its line.
//!
//! [`Config::default`] touches no file and opens no socket, for programs that
//! embed a daemon; [`Config::installed`] is the meaning of an empty file.
//! `packaging/vconsoled.toml` documents each key, and a test compares it with
//! this module.

mod access;
mod audit;
mod logs;
mod rules;
mod sessions;
#[cfg(test)]
mod tests;
mod value;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

pub use access::{AccessRule, Domains, Right, Rights};
pub use audit::Audit;
pub use logs::{Filter, Logs};
pub use rules::{ConsoleConfig, Rule};
pub use sessions::{Banner, Sessions};
pub use value::{InputRate, Name, Pattern, Size, SocketMode};
pub use watch::{WatchRule, WatchRules};

/// The default path of the file.
pub const DEFAULT_FILE: &str = "/etc/vconsoled.toml";

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Config::installed", rename_all = "kebab-case")]
pub struct Config {
    /// What happens to unread output.
    pub overflow: Overflow,
    /// Output of each console kept in memory for later viewers.
    pub history: History,
    /// How fast input goes to the guest.
    pub input_rate: InputRate,
    /// Whether bytes that either end does not take in time are discarded.
    pub lossy: bool,
    /// Directory for output that must outlive a restart of the daemon, on a file
    /// system that is cleared at boot; without it, output is in memory.
    #[serde(with = "value::optional_path")]
    pub state_dir: Option<PathBuf>,
    /// Logs.
    pub log: Logs,
    /// Unix sockets.
    pub sockets: Sockets,
    /// Settings for viewers.
    pub sessions: Sessions,
    /// Where attachments are recorded.
    pub audit: Audit,
    /// The daemon's privileges.
    pub process: Process,
    /// Exceptions for some consoles; the last match wins.
    #[serde(rename = "console")]
    pub rules: Vec<Rule>,
    /// Rights of users other than root.
    pub access: Vec<AccessRule>,
    /// Lines that are counted and reported.
    pub watch: WatchRules,
    /// The file it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Unknown keys of the file.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

/// What happens to unread output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The oldest output is dropped.
    #[default]
    Discard,
    /// It stays in the ring, and the guest waits.
    Keep,
}

/// An amount of output, 64 KiB by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct History(pub Size);

impl Default for History {
    fn default() -> Self {
        Self(Size(64 << 10))
    }
}

/// Paths and permissions of sockets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Sockets::installed", rename_all = "kebab-case")]
pub struct Sockets {
    /// The control socket; none without it.
    #[serde(with = "value::optional_path")]
    pub control: Option<PathBuf>,
    /// Its permissions.
    pub control_mode: SocketMode,
    /// The metrics socket; none without it.
    #[serde(with = "value::optional_path")]
    pub metrics: Option<PathBuf>,
    /// Its permissions.
    pub metrics_mode: SocketMode,
    /// Address and port of the metrics, without access control; none without it.
    #[serde(with = "value::optional_address")]
    pub metrics_listen: Option<SocketAddr>,
    /// Whether that address may be reachable from other hosts.
    pub metrics_public: bool,
    /// The folder with a socket for each console; none without it.
    #[serde(with = "value::optional_path")]
    pub consoles: Option<PathBuf>,
    /// The permissions of the sockets in that folder.
    pub consoles_mode: SocketMode,
    /// The group of all sockets; by default the daemon's own.
    #[serde(with = "value::optional_name")]
    pub group: Option<String>,
}

impl Sockets {
    fn installed() -> Self {
        Self {
            control: Some("/run/vconsoled/control.sock".into()),
            metrics: Some("/run/vconsoled/metrics.sock".into()),
            consoles: Some("/run/vconsoled/consoles".into()),
            ..Self::default()
        }
    }
}

/// The daemon's privileges once it has opened its devices.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Process::installed", rename_all = "kebab-case")]
pub struct Process {
    /// The user to become; without one it stays root.
    #[serde(with = "value::optional_name")]
    pub user: Option<String>,
    /// Restrict access to files and system calls as far as the kernel can.
    pub sandbox: bool,
    /// Further folders in which it may create sockets.
    #[serde(deserialize_with = "value::paths")]
    pub folders: Vec<PathBuf>,
}

impl Process {
    fn installed() -> Self {
        Self {
            user: Some("vconsoled".into()),
            sandbox: true,
            folders: vec!["/run/vconsoled/channels".into()],
        }
    }

    /// Whether the process gives up privileges.
    fn gives_up(&self) -> bool {
        self.sandbox || self.user.is_some()
    }
}

impl Config {
    /// The meaning of an empty file.
    #[must_use]
    pub fn installed() -> Self {
        Self {
            state_dir: Some("/run/vconsoled/state".into()),
            sockets: Sockets::installed(),
            process: Process::installed(),
            audit: Audit::installed(),
            ..Self::default()
        }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the configuration {shown} cannot be read"))?;
        let config = Self::parse(&text);
        let config = config.with_context(|| format!("{shown} is not a configuration"))?;
        Ok(Self {
            file: Some(path.to_owned()),
            ..config
        })
    }

    /// Parses a file's text. An error has its line. An unknown key may belong to
    /// a later version, and is not fatal.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        let mut unknown = Vec::new();
        let file = toml::Deserializer::parse(text)?;
        let config: Self = serde_ignored::deserialize(file, |key| unknown.push(key.to_string()))?;
        let sockets = &config.sockets;
        let is_public = |at: &SocketAddr| !at.ip().is_loopback() && !sockets.metrics_public;
        if let Some(at) = sockets.metrics_listen.filter(is_public) {
            return Err(toml::de::Error::custom(format!(
                "sockets.metrics-listen: other hosts reach {at}, and are told the names of all \
                 guests; `metrics-public = true` allows that"
            )));
        }
        Ok(Self { unknown, ..config })
    }

    /// Takes over the settings that a running daemon can change, and returns the
    /// differing sections and keys that it cannot.
    pub fn change_to(&mut self, new: &Self) -> Vec<&'static str> {
        let old = self.clone();
        *self = Self {
            state_dir: old.state_dir.clone(),
            sockets: old.sockets.clone(),
            process: old.process.clone(),
            log: Logs {
                hypervisor: old.log.hypervisor,
                dir: old.log.dir.clone(),
                journal_socket: old.log.journal_socket.clone(),
                ..new.log.clone()
            },
            audit: Audit {
                file: old.audit.file.clone(),
                ..new.audit.clone()
            },
            ..new.clone()
        };
        // A confined process has access to the log folder only if logs were
        // configured at its start.
        let logs_begin = self.logs() && !old.logs() && old.process.gives_up();
        if logs_begin {
            (self.log.guests, self.log.record) = (false, false);
            for rule in &mut self.rules {
                rule.log = rule.log.filter(|wanted| !wanted);
                rule.record = rule.record.filter(|wanted| !wanted);
            }
        }
        let stays = [
            ("state-dir", old.state_dir != new.state_dir),
            ("log.hypervisor", old.log.hypervisor != new.log.hypervisor),
            ("log.guests", logs_begin),
            ("log.dir", old.log.dir != new.log.dir),
            (
                "log.journal-socket",
                old.log.journal_socket != new.log.journal_socket,
            ),
            ("audit.file", old.audit.file != new.audit.file),
            ("sockets", old.sockets != new.sockets),
            ("process", old.process != new.process),
        ];
        let stays = stays.into_iter().filter(|(_, differs)| *differs);
        stays.map(|(key, _)| key).collect()
    }

    /// Whether anything is written to the log folder.
    #[must_use]
    pub fn logs(&self) -> bool {
        let log = &self.log;
        let mut rules = self.rules.iter();
        let by_rule = rules.any(|rule| [rule.log, rule.record].contains(&Some(true)));
        log.guests || log.hypervisor || log.record || by_rule
    }
}
