// SPDX-License-Identifier: MIT
//! The answer to `status`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Every console that the daemon serves.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Status {
    /// Version of this format.
    pub version: u32,
    /// The daemon's process.
    #[serde(default)]
    pub pid: u32,
    /// Every console, by domain.
    pub consoles: Vec<Row>,
    /// Why consoles may be missing, if they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// One console. What an older daemon does not send is empty or 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Row {
    /// The domain.
    pub domid: u16,
    /// Its name.
    pub name: String,
    /// The console: `pv0`, `vuart0`, or `pv1` and so on.
    pub console: String,
    /// The kind of ring: `pv`, `vuart`, `vuart-private` or `pv-secondary`; or
    /// `channel`, whose `tty` is its socket.
    pub kind: String,
    /// The pty.
    pub tty: String,
    /// Its log file, if it has one.
    pub log: String,
    /// Its recording, if it is recorded.
    pub recording: String,
    /// Number of viewers on sockets, plus one while the pty is open.
    pub viewers: usize,
    /// Bytes taken from the guest.
    pub from_guest: u64,
    /// Bytes given to the guest.
    pub to_guest: u64,
    /// Notifications received.
    pub doorbells_in: u64,
    /// Notifications sent.
    pub doorbells_out: u64,
    /// Resyncs of the ring because of invalid indices.
    pub resyncs: u64,
    /// Bytes that the pty did not take.
    pub dropped: u64,
    /// Bytes lost because viewers on sockets were too slow.
    pub lost: u64,
    /// Bytes in the ring, from the guest.
    pub out_waiting: usize,
    /// Bytes in the ring, to the guest.
    pub in_waiting: usize,
    /// Input that a lossy console discarded.
    pub input_lost: u64,
    /// Limit of input to the guest in bytes per second; 0 without a limit.
    pub input_rate: u32,
    /// Bytes that are missing from the log.
    pub log_lost: u64,
    /// Lines that are missing from the journal.
    pub journal_lost: u64,
    /// Number of matches of each watch rule, by the rules' names.
    pub matches: BTreeMap<String, u64>,
    /// The caller's rights: `list`, `watch`, `log`, `type`, `break`, `control`.
    pub rights: Vec<String>,
    /// `connected`, or the reason why not.
    pub state: String,
}

impl Row {
    /// The domain's name without control characters, safe for a terminal.
    #[must_use]
    pub fn plain_name(&self) -> String {
        plain(&self.name)
    }
}

/// A text without control characters, safe for a terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_other_versions_are_read() {
        let older = r#"{"version":1,"consoles":[{"domid":3,"newer":true}]}"#;
        let status: Status = serde_json::from_str(older).unwrap();
        let expected = Row {
            domid: 3,
            ..Row::default()
        };
        assert_eq!(status.consoles, [expected]);
    }
}
