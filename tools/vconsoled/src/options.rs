// SPDX-License-Identifier: MIT
//! Options, named as xenconsoled's are.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgAction, Parser, ValueEnum};
use vconsoled::console::Overflow;
use vconsoled::history::SCROLLBACK;
use vconsoled::log::Style;
use vconsoled::{Config, Viewing};

/// Where xenconsoled's process number is looked for.
pub(crate) const DEFAULT_PID_FILE: &str = "/run/xen/xenconsoled.pid";

/// Serves the consoles of all domains: PV consoles and emulated UARTs, each
/// with a pty that `xl console` finds, and a log file if wanted.
#[derive(Debug, Parser)]
#[command(
    name = "vconsoled",
    version,
    disable_version_flag = true,
    args_override_self = true
)]
pub(crate) struct Options {
    /// Say what happens, not only what goes wrong
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Stay in the foreground, with messages on standard error
    #[arg(short, long)]
    pub(crate) interactive: bool,

    /// What to keep logs of
    #[arg(long, value_enum, default_value_t = Logs::None)]
    log: Logs,

    /// Where to keep logs
    #[arg(long, value_name = "DIR", default_value = "/var/log/xen/console")]
    log_dir: PathBuf,

    /// Where to write the process number
    #[arg(long, value_name = "PATH")]
    pub(crate) pid_file: Option<PathBuf>,

    /// Which logs' lines start with the time
    #[arg(short, long, value_enum, default_value_t = Logs::None)]
    timestamp: Logs,

    /// What to do with output that nobody takes: drop the oldest, or keep it
    /// and let the guest wait
    #[arg(short, long, value_enum, default_value_t = OverflowData::Discard)]
    overflow_data: OverflowData,

    /// Write a dot to logs for each ESC
    #[arg(long)]
    replace_escape: bool,

    /// Where the control socket is
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/run/vconsoled/control.sock"
    )]
    control: PathBuf,

    /// Where output is kept that a restart must not lose: on a file system
    /// that is as short-lived as the domains are
    #[arg(long, value_name = "DIR", default_value = "/run/vconsoled/state")]
    state_dir: PathBuf,

    /// Where to put a socket for each console, for programs that know nothing
    /// of this one; none if empty
    #[arg(long, value_name = "DIR", default_value = "/run/vconsoled/consoles")]
    sockets: PathBuf,

    /// How much output is kept for viewers to come, in bytes a console
    #[arg(long, value_name = "BYTES", default_value_t = SCROLLBACK)]
    scrollback: u64,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// Whose output is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Logs {
    /// Nobody's
    None,
    /// The guests'
    Guest,
    /// The hypervisor's
    Hv,
    /// Everybody's
    All,
}

impl Logs {
    fn guest(self) -> bool {
        matches!(self, Self::Guest | Self::All)
    }

    fn hypervisor(self) -> bool {
        matches!(self, Self::Hv | Self::All)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OverflowData {
    /// Drop the oldest
    Discard,
    /// Let the guest wait
    Keep,
}

impl Options {
    /// Makes the directories that are missing.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        if self.log.hypervisor() {
            tracing::warn!("the hypervisor's own messages are not logged; see `xl dmesg`");
        }
        if self.log.guest() {
            std::fs::create_dir_all(&self.log_dir)
                .with_context(|| format!("making {}", self.log_dir.display()))?;
        }
        Ok(())
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            log_dir: self.log.guest().then(|| self.log_dir.clone()),
            log_style: Style {
                timestamps: self.timestamp.guest(),
                replace_escape: self.replace_escape,
            },
            overflow: match self.overflow_data {
                OverflowData::Discard => Overflow::Discard,
                OverflowData::Keep => Overflow::Keep,
            },
            control: Some(self.control.clone()),
            state_dir: Some(self.state_dir.clone()),
            scrollback: self.scrollback,
            viewing: Viewing {
                sockets: Some(self.sockets.clone()).filter(|path| !path.as_os_str().is_empty()),
                ..Viewing::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_xenconsoled_takes_is_taken() {
        for line in [
            "",
            "-i",
            "-v -i --interactive --verbose",
            "--log=none",
            "--log=hv",
            "--log=guest",
            "--log=all --log-dir=/tmp/logs",
            "--log all --log-dir /tmp/logs",
            "--pid-file=/run/x.pid",
            "-t none -o discard",
            "-t guest -o keep",
            "--timestamp=all --overflow-data=keep --replace-escape",
            "--timestamp=hv --overflow-data=discard",
        ] {
            let words = std::iter::once("vconsoled").chain(line.split_whitespace());
            let parsed = Options::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn what_is_meant_arrives() {
        let line = "vconsoled --log=guest --log-dir=/l -t guest -o keep --replace-escape";
        let options = Options::try_parse_from(line.split_whitespace()).unwrap();
        let config = options.config();
        assert_eq!(config.log_dir, Some("/l".into()));
        assert!(config.log_style.timestamps && config.log_style.replace_escape);
        assert_eq!(config.overflow, Overflow::Keep);
        let quiet = Options::try_parse_from(["vconsoled", "--log=hv"])
            .unwrap()
            .config();
        assert_eq!(quiet.log_dir, None);
    }
}
