// SPDX-License-Identifier: MIT
//! The configuration: plain data, read from a TOML file and the command line. Every
//! value is checked as it is read, so an error names its line.
//!
//! [`Config::default`] is a daemon that touches no file and opens no socket,
//! for programs that hold one inside; [`Config::installed`] is what an empty
//! file means. `packaging/vconsoled.toml` explains each key to people, and a
//! test compares it with this.

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

/// Where the file is when nobody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/vconsoled.toml";

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Config::installed", rename_all = "kebab-case")]
pub struct Config {
    /// What happens to output that nobody takes.
    pub overflow: Overflow,
    /// Output of each console kept in memory for those who attach later.
    pub history: History,
    /// How fast input goes to the guest.
    pub input_rate: InputRate,
    /// Whether what either end does not take in time is discarded.
    pub lossy: bool,
    /// Where output is kept that a restart must not lose, on a file system as
    /// short-lived as the domains are; in memory without it.
    #[serde(with = "value::optional_path")]
    pub state_dir: Option<PathBuf>,
    /// Logs.
    pub log: Logs,
    /// Unix sockets.
    pub sockets: Sockets,
    /// What holds for viewers.
    pub sessions: Sessions,
    /// Where it is kept who was attached.
    pub audit: Audit,
    /// What the daemon may do.
    pub process: Process,
    /// Exceptions for some consoles, the last that matches first.
    #[serde(rename = "console")]
    pub rules: Vec<Rule>,
    /// Who else than root may do what.
    pub access: Vec<AccessRule>,
    /// Lines that are told of.
    pub watch: WatchRules,
    /// The file it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// What the file says that means nothing.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

/// What happens to output that nobody takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The oldest is dropped.
    #[default]
    Discard,
    /// It stays in the ring, and the guest waits.
    Keep,
}

/// An amount of output, 64 KiB unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct History(pub Size);

impl Default for History {
    fn default() -> Self {
        Self(Size(64 << 10))
    }
}

/// Where sockets are and who may connect to them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Sockets::installed", rename_all = "kebab-case")]
pub struct Sockets {
    /// The control socket; there is none without it.
    #[serde(with = "value::optional_path")]
    pub control: Option<PathBuf>,
    /// Its permissions.
    pub control_mode: SocketMode,
    /// The counters' socket; there is none without it.
    #[serde(with = "value::optional_path")]
    pub metrics: Option<PathBuf>,
    /// Its permissions.
    pub metrics_mode: SocketMode,
    /// The counters' address and port, for whoever connects; there is none without it.
    #[serde(with = "value::optional_address")]
    pub metrics_listen: Option<SocketAddr>,
    /// Whether that may be one that other hosts reach.
    pub metrics_public: bool,
    /// The folder with a socket for each console; there are none without it.
    #[serde(with = "value::optional_path")]
    pub consoles: Option<PathBuf>,
    /// The permissions of the sockets in it.
    pub consoles_mode: SocketMode,
    /// The group that all sockets belong to; the daemon's own without it.
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

/// What the daemon may do once it has opened its devices.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Process::installed", rename_all = "kebab-case")]
pub struct Process {
    /// The user it becomes; it stays root without one.
    #[serde(with = "value::optional_name")]
    pub user: Option<String>,
    /// Give up what the kernel can take away: files elsewhere, system calls
    /// it has no use for.
    pub sandbox: bool,
    /// Folders, besides those named elsewhere, in which it may make sockets.
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

    /// Whether the process can do less once it serves.
    fn gives_up(&self) -> bool {
        self.sandbox || self.user.is_some()
    }
}

impl Config {
    /// What an empty file means.
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

    /// Understands a file's text. An error shows the line. A key that is not
    /// known may be a later version's, and ends no service.
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

    /// Takes over what a running daemon can change, and returns the sections
    /// and keys that differ and that it cannot.
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
        // A process that gave up its rights was given no folder for logs.
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

    /// Whether anything is written to the folder for logs.
    #[must_use]
    pub fn logs(&self) -> bool {
        let log = &self.log;
        let mut rules = self.rules.iter();
        let by_rule = rules.any(|rule| [rule.log, rule.record].contains(&Some(true)));
        log.guests || log.hypervisor || log.record || by_rule
    }
}
