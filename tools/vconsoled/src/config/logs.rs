// SPDX-License-Identifier: MIT
//! The section `[log]`: logs of consoles, and what goes to journald.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::value::{self, Size};

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
    /// Start each line of a guest's log with its time of arrival.
    pub timestamps: bool,
    /// Start each line of the hypervisor's log with the time.
    pub hypervisor_timestamps: bool,
    /// How escape sequences are handled.
    pub filter: Filter,
    /// Size at which a log is rotated; no limit if 0.
    pub size: Size,
    /// Rotated logs kept of each console, besides the current one.
    pub count: u32,
    /// Files without writes for this many days are removed; none if 0.
    pub keep_days: u32,
    /// Limit of the size of all files; the oldest are removed beyond it. No limit if 0.
    pub total: Size,
    /// Compress rotated logs (Zstandard).
    pub compress: bool,
    /// Record the guests' consoles, with times.
    pub record: bool,
    /// Send guests' lines to journald as well.
    pub journal: bool,
    /// Lines per second and console; no limit if 0.
    pub journal_rate: u32,
    /// Lines at once after a pause.
    pub journal_burst: u32,
    /// The socket of journald, or of a namespace of it.
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
            record: false,
            journal: false,
            journal_rate: 100,
            journal_burst: 2000,
            journal_socket: "/run/systemd/journal/socket".into(),
        }
    }
}

/// How escape sequences in a log are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// They are kept.
    None,
    /// Each ESC becomes a dot, as with `--replace-escape`.
    Dot,
    /// They are removed.
    #[default]
    Strip,
}
