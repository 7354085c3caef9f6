// SPDX-License-Identifier: MIT
//! Options, with the names and meanings of xenconsoled's; everything else is in the
//! configuration file.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Parser, ValueEnum};

use crate::config::{self, Config, Filter, History, Overflow, Size};

/// The default path of xenconsoled's pid file.
pub const DEFAULT_PID_FILE: &str = "/run/xen/xenconsoled.pid";

/// Serves the consoles of all domains: PV consoles and emulated UARTs, each
/// with a pty that `xl console` finds, and a log file if wanted.
///
/// Replaces xenconsoled, and has its options. Options take precedence over the
/// configuration file.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "vconsoled",
    version,
    disable_version_flag = true,
    infer_long_args = true
)]
pub struct Options {
    /// Log events, not only errors
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Stay in the foreground, with messages on standard error
    #[arg(short, long, action = ArgAction::Count)]
    interactive: u8,

    /// Which logs to keep; give it twice for both
    #[arg(long, value_enum)]
    log: Vec<Whose>,

    /// Where to keep logs [default: /var/log/xen/console]
    #[arg(long, value_name = "DIR")]
    log_dir: Vec<PathBuf>,

    /// Where to write the process number [default: /run/xen/xenconsoled.pid
    /// in the background, nowhere in the foreground]
    #[arg(long, value_name = "PATH")]
    pid_file: Vec<PathBuf>,

    /// In which logs each line starts with the time; give it twice for both
    #[arg(short, long, value_enum)]
    timestamp: Vec<Whose>,

    /// What to do with unread output: drop the oldest, or keep it and let the guest
    /// wait
    #[arg(short, long, value_enum)]
    overflow_data: Vec<OverflowData>,

    /// Write a dot to logs for each ESC
    #[arg(long, action = ArgAction::Count)]
    replace_escape: u8,

    /// The configuration file [default: /etc/vconsoled.toml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the configuration and exit
    #[arg(long)]
    pub check_config: bool,

    /// The path of the control socket
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Keep root, and all files and system calls
    #[arg(long)]
    no_sandbox: bool,

    /// Where output is kept over a restart; use a file system that is cleared when
    /// the host boots
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Where to put a socket for each console, for other programs; none if empty
    #[arg(long, value_name = "DIR")]
    sockets: Option<PathBuf>,

    /// How much output is kept for later viewers, in bytes per console
    #[arg(long, value_name = "BYTES")]
    scrollback: Option<u64>,

    /// Run as the broker, which opens what the daemon may not open
    #[arg(long, hide = true)]
    pub broker: bool,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// The source of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    /// No output
    None,
    /// The guests'
    Guest,
    /// The hypervisor's
    Hv,
    /// All output
    All,
}

impl Whose {
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
    /// Whether messages report events that are not errors.
    #[must_use]
    pub fn verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Whether to stay in the foreground.
    #[must_use]
    pub fn interactive(&self) -> bool {
        self.interactive > 0
    }

    /// The path for the process number, if it was given.
    #[must_use]
    pub fn pid_file(&self) -> Option<&Path> {
        self.pid_file.last().map(PathBuf::as_path)
    }

    /// The configuration from the file and the options.
    pub fn config(&self) -> anyhow::Result<Config> {
        let default = Path::new(config::DEFAULT_FILE);
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None if default.exists() => Config::read(default)?,
            None => Config::installed(),
        };
        self.change(&mut config);
        Ok(config)
    }

    /// Applies the command line.
    fn change(&self, config: &mut Config) {
        let log = &mut config.log;
        // As in xenconsoled, which never switches a log off.
        if !self.log.is_empty() {
            log.guests = self.log.iter().any(|whose| whose.guest());
            log.hypervisor = self.log.iter().any(|whose| whose.hypervisor());
        }
        if !self.timestamp.is_empty() {
            // Here "none" cancels earlier options.
            let said = self.timestamp.rsplit(|whose| *whose == Whose::None).next();
            let said = said.unwrap_or_default();
            log.timestamps = said.iter().any(|whose| whose.guest());
            log.hypervisor_timestamps = said.iter().any(|whose| whose.hypervisor());
        }
        if let Some(dir) = self.log_dir.last() {
            log.dir.clone_from(dir);
        }
        if self.replace_escape > 0 {
            log.filter = Filter::Dot;
        }
        match self.overflow_data.last() {
            Some(OverflowData::Discard) => config.overflow = Overflow::Discard,
            Some(OverflowData::Keep) => config.overflow = Overflow::Keep,
            None => {}
        }
        if self.no_sandbox {
            config.process.user = None;
            config.process.sandbox = false;
        }
        if let Some(dir) = &self.state_dir {
            config.state_dir = Some(dir.clone());
        }
        if let Some(scrollback) = self.scrollback {
            config.history = History(Size(scrollback));
        }
        if let Some(dir) = &self.sockets {
            let dir = Some(dir.clone());
            config.sockets.consoles = dir.filter(|dir| !dir.as_os_str().is_empty());
        }
        if let Some(control) = &self.control {
            config.sockets.control = Some(control.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("vconsoled").chain(line.split_whitespace()))
    }

    fn changed(mut config: Config, line: &str) -> Config {
        options(line).unwrap().change(&mut config);
        config
    }

    #[test]
    fn every_line_that_xenconsoled_takes_is_taken() {
        for line in [
            "",
            "-i",
            "-v -i --interactive --verbose",
            "-vi",
            "--log=none",
            "--log=hv",
            "--log=guest --log=hv",
            "--log=all --log-dir=/tmp/logs",
            "--log all --log-dir /tmp/logs --log-dir /other",
            "--pid-file=/run/x.pid --pid-file=/run/y.pid",
            "-t none -o discard",
            "-tguest -okeep -o discard",
            "--timestamp=all --overflow-data=keep --replace-escape --replace-escape",
            "--timestamp=hv --overflow-data=discard",
            // Like getopt_long, which accepts unambiguous prefixes.
            "--inter --verb --time=all --over keep --rep --pid /run/x",
        ] {
            let parsed = options(line);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
        for (line, kind) in [
            ("-h", clap::error::ErrorKind::DisplayHelp),
            ("--help", clap::error::ErrorKind::DisplayHelp),
            ("-V", clap::error::ErrorKind::DisplayVersion),
            ("--version", clap::error::ErrorKind::DisplayVersion),
        ] {
            assert_eq!(options(line).unwrap_err().kind(), kind, "{line}");
        }
    }

    #[test]
    fn options_mean_the_same_as_in_xenconsoled() {
        let logs = |line| {
            let log = changed(Config::installed(), line).log;
            (log.guests, log.hypervisor)
        };
        assert_eq!(logs(""), (false, false));
        assert_eq!(logs("--log=none"), (false, false));
        assert_eq!(logs("--log=guest"), (true, false));
        assert_eq!(logs("--log=hv"), (false, true));
        assert_eq!(logs("--log=all"), (true, true));
        assert_eq!(logs("--log=guest --log=hv"), (true, true));
        let times = |line| {
            let log = changed(Config::installed(), line).log;
            (log.timestamps, log.hypervisor_timestamps)
        };
        assert_eq!(times("-t guest"), (true, false));
        assert_eq!(times("-t hv -t guest"), (true, true));
        assert_eq!(times("-t all -t none"), (false, false));
        assert_eq!(times("-t none -t hv"), (false, true));
        let config = changed(
            Config::installed(),
            "--log-dir=/l --replace-escape -o keep --control /c",
        );
        assert_eq!(config.log.dir, Path::new("/l"));
        assert_eq!(config.log.filter, Filter::Dot);
        assert_eq!(config.overflow, Overflow::Keep);
        assert_eq!(config.sockets.control.as_deref(), Some(Path::new("/c")));
    }

    #[test]
    fn no_sandbox_keeps_the_user_and_all_access() {
        let config = changed(Config::installed(), "--no-sandbox");
        assert_eq!((config.process.user, config.process.sandbox), (None, false));
    }

    #[test]
    fn the_command_line_goes_before_the_file() {
        let file = "overflow = \"keep\"\n[log]\nguests = true\nhypervisor = true\n\
                    timestamps = true\ndir = \"/l\"\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vconsoled.toml");
        std::fs::write(&path, file).unwrap();
        let read = |line: &str| {
            let line = format!("--config {} {line}", path.display());
            options(&line).unwrap().config().unwrap()
        };
        let config = Config {
            file: Some(path.clone()),
            ..Config::parse(file).unwrap()
        };
        assert_eq!(read(""), config);
        let changed = read("--log=guest -o discard --timestamp none");
        assert!(changed.log.guests && !changed.log.hypervisor && !changed.log.timestamps);
        assert_eq!(changed.overflow, Overflow::Discard);
        assert_eq!(changed.log.dir, Path::new("/l"), "not set otherwise");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let options = options("--config /nonexistent/vconsoled.toml").unwrap();
        let error = format!("{:#}", options.config().unwrap_err());
        assert!(error.contains("/nonexistent/vconsoled.toml"), "{error}");
    }
}
