// SPDX-License-Identifier: MIT
//! What the operator decides: plain data, read from a TOML file and the
//! command line. Every value is checked as it is read, so an error names its
//! line.
//!
//! [`Config::default`] is a daemon that touches no file and opens no socket,
//! for programs that hold one inside; [`Config::installed`] is what an empty
//! file means. `packaging/vconsoled.toml` explains each key to people, and a
//! test compares it with this.

mod access;
mod sessions;
#[cfg(test)]
mod tests;
mod value;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

pub use access::{AccessRule, Domains, Right, Rights};
pub use sessions::{Banner, Sessions};
pub use value::{InputRate, Name, Pattern, Size, SocketMode};

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
    /// What the daemon may do.
    pub process: Process,
    /// Exceptions for some consoles, the last that matches first.
    #[serde(rename = "console")]
    pub rules: Vec<Rule>,
    /// Who else than root may do what.
    pub access: Vec<AccessRule>,
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

/// How logs are written.
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Logs {
    /// Keep logs of the guests' consoles.
    pub guests: bool,
    /// Keep a log of the hypervisor's own messages.
    pub hypervisor: bool,
    /// Where logs are.
    #[serde(deserialize_with = "value::path")]
    pub dir: PathBuf,
    /// Start each line of a guest's log with the time at which it came.
    pub timestamps: bool,
    /// Start each line of the hypervisor's log with the time.
    pub hypervisor_timestamps: bool,
    /// What becomes of escape sequences.
    pub filter: Filter,
    /// A log that would grow past this is rotated; 0 lets it grow.
    pub size: Size,
    /// Rotated logs kept of each console, besides the present one.
    pub count: u32,
    /// Files that were not written to for so many days are removed; none if 0.
    pub keep_days: u32,
    /// While all files together are longer, the oldest are removed; none if 0.
    pub total: Size,
    /// Compress rotated logs (Zstandard).
    pub compress: bool,
    /// Send guests' lines to journald as well.
    pub journal: bool,
    /// So many of a console's lines in each second, without a limit if 0.
    pub journal_rate: u32,
    /// So many at once after a silence.
    pub journal_burst: u32,
    /// Where journald, or a namespace of it, listens.
    #[serde(deserialize_with = "value::path")]
    pub journal_socket: PathBuf,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            guests: false,
            hypervisor: false,
            dir: "/var/log/xen/console".into(),
            timestamps: false,
            hypervisor_timestamps: false,
            filter: Filter::default(),
            size: Size(16 << 20),
            count: 4,
            keep_days: 0,
            total: Size(0),
            compress: false,
            journal: false,
            journal_rate: 100,
            journal_burst: 2000,
            journal_socket: "/run/systemd/journal/socket".into(),
        }
    }
}

/// What becomes of escape sequences in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// They are left as they are.
    None,
    /// Each ESC becomes a dot, as with `--replace-escape`.
    Dot,
    /// They are left out.
    #[default]
    Strip,
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
}

/// What is different for some consoles.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Rule {
    /// Which domains, by name.
    pub domain: Pattern,
    /// Which of their consoles, such as `vuart0`.
    pub console: Pattern,
    /// Whether there is a log.
    pub log: Option<bool>,
    /// See [`Logs::timestamps`].
    pub timestamps: Option<bool>,
    /// See [`Logs::filter`].
    pub filter: Option<Filter>,
    /// See [`Logs::size`].
    pub size: Option<Size>,
    /// See [`Logs::count`].
    pub count: Option<u32>,
    /// See [`Logs::journal`].
    pub journal: Option<bool>,
    /// See [`Logs::journal_rate`].
    pub journal_rate: Option<u32>,
    /// See [`Logs::journal_burst`].
    pub journal_burst: Option<u32>,
    /// See [`Config::history`].
    pub history: Option<History>,
    /// See [`Config::overflow`].
    pub overflow: Option<Overflow>,
    /// See [`Config::input_rate`].
    pub input_rate: Option<InputRate>,
    /// See [`Config::lossy`].
    pub lossy: Option<bool>,
    /// See [`Sessions::idle_timeout`].
    pub idle_timeout: Option<u32>,
    /// See [`Sessions::banner`].
    pub banner: Option<Banner>,
}

impl Rule {
    /// Whether it is for a console, by its domain's name and its own.
    fn fits(&self, domain: &str, console: &str) -> bool {
        self.domain.matches(domain) && self.console.matches(console)
    }
}

/// What holds for one console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
pub struct ConsoleConfig {
    /// Whether there is a log.
    pub log: bool,
    /// See [`Logs::timestamps`].
    pub timestamps: bool,
    /// See [`Logs::filter`].
    pub filter: Filter,
    /// See [`Logs::size`].
    pub size: Size,
    /// See [`Logs::count`].
    pub count: u32,
    /// See [`Logs::journal`].
    pub journal: bool,
    /// See [`Logs::journal_rate`].
    pub journal_rate: u32,
    /// See [`Logs::journal_burst`].
    pub journal_burst: u32,
    /// See [`Config::history`].
    pub history: History,
    /// See [`Config::overflow`].
    pub overflow: Overflow,
    /// See [`Config::input_rate`].
    pub input_rate: InputRate,
    /// See [`Config::lossy`].
    pub lossy: bool,
    /// See [`Sessions::idle_timeout`].
    pub idle_timeout: u32,
}

impl Config {
    /// What an empty file means.
    #[must_use]
    pub fn installed() -> Self {
        Self {
            state_dir: Some("/run/vconsoled/state".into()),
            sockets: Sockets::installed(),
            process: Process::installed(),
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
        let config = serde_ignored::deserialize(file, |key| unknown.push(key.to_string()))?;
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
            ..new.clone()
        };
        let stays = [
            ("state-dir", old.state_dir != new.state_dir),
            ("log.hypervisor", old.log.hypervisor != new.log.hypervisor),
            ("log.dir", old.log.dir != new.log.dir),
            (
                "log.journal-socket",
                old.log.journal_socket != new.log.journal_socket,
            ),
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
        let by_rule = self.rules.iter().any(|rule| rule.log == Some(true));
        log.guests || log.hypervisor || by_rule
    }

    /// What holds for a console, by its domain's name and its own.
    #[must_use]
    pub fn console(&self, domain: &str, console: &str) -> ConsoleConfig {
        let logs = &self.log;
        let general = ConsoleConfig {
            log: logs.guests,
            timestamps: logs.timestamps,
            filter: logs.filter,
            size: logs.size,
            count: logs.count,
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
