// SPDX-License-Identifier: MIT
//! The command lines of the client, of `xenconsole` and of `vconsole-login`.

mod keys;
#[cfg(test)]
mod tests;
pub(crate) mod values;
mod viewing;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use values::{Scrollback, Time};
pub(crate) use viewing::{Session, Viewing};

/// The path of the daemon's control socket.
const CONTROL: &str = "/run/vconsoled/control.sock";

/// Lists and attaches to the consoles of Xen domains.
#[derive(Debug, Parser)]
#[command(name = "vconsole", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the consoles that vconsoled serves
    List {
        /// As JSON, one line per update
        #[arg(long)]
        json: bool,
        /// Update every second; any key ends it
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        daemon: Control,
    },
    /// List the users attached to consoles that the caller may control
    Who {
        /// As a line of JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        daemon: Control,
    },
    /// Check that an audit file is unchanged
    Audit {
        /// Files of one chain, the oldest first
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Fail if no line has this hash, which was stored before
        #[arg(long, value_name = "HASH")]
        contains: Option<String>,
    },
    /// Send a message to attached users; guests do not see it
    Message {
        /// A domain's name or number, and one of its consoles if not all; with
        /// --all, the first word of the text
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        to: String,
        /// To the users of all consoles
        #[arg(long)]
        all: bool,
        /// The text, at most 200 bytes
        #[arg(value_name = "TEXT", required_unless_present = "all")]
        text: Vec<String>,
        #[command(flatten)]
        daemon: Control,
    },
    /// Connect this terminal, or standard input and output, to a console
    Attach {
        /// A domain's name or number, and which of its consoles: pv0 (the
        /// default), vuart0, serial0. Without it, the only domain there is
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: Option<String>,
        /// Wait for a guest of that name if there is none, and for the next one
        /// after a reboot
        #[arg(long, requires = "console")]
        wait: bool,
        #[command(flatten)]
        viewing: Box<Viewing>,
        #[command(flatten)]
        daemon: Control,
    },
    /// Print a console's log, also that of a domain that has ended; without a log,
    /// the daemon's history
    Log {
        /// A domain's name or number, and which of its consoles
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: Option<String>,
        #[command(flatten)]
        printing: Printing,
        #[command(flatten)]
        daemon: Control,
    },
    /// Replay a recording of a console at its original speed
    Replay {
        /// A file, or a domain's name or number and which of its consoles
        #[arg(value_name = "FILE|DOMAIN[/CONSOLE]")]
        recording: String,
        #[command(flatten)]
        playing: Playing,
        #[command(flatten)]
        daemon: Control,
    },
    /// Type a text into a console; exit when it is in the guest's ring
    Send {
        /// A domain's name or number, and which of its consoles
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: String,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        daemon: Control,
    },
    /// Wait until a console's output matches a pattern, and print it up to the
    /// match
    Expect {
        /// A domain's name or number, and which of its consoles
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: String,
        #[command(flatten)]
        expecting: Expecting,
        #[command(flatten)]
        daemon: Control,
    },
    /// Started by sshd: access to the consoles that the caller may use, and nothing
    /// else. The ssh client's command names one of them
    Login {
        /// The only console to attach to
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: Option<String>,
        #[command(flatten)]
        daemon: Control,
    },
    /// Send a break to a UART
    Break {
        /// A domain's name or number, and which of its consoles [default: vuart0]
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: String,
        #[command(flatten)]
        daemon: Control,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Control {
    /// The path of the daemon's control socket
    #[arg(
        long,
        value_name = "PATH",
        env = "VCONSOLED_CONTROL",
        default_value = CONTROL
    )]
    pub(crate) control: PathBuf,
}

/// Options of `vconsole send`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sending {
    /// The text [default: standard input]
    #[arg(value_name = "TEXT")]
    pub(crate) text: Vec<String>,

    /// Press Enter after it
    #[arg(short, long)]
    pub(crate) enter: bool,

    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// Options of `vconsole expect`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Expecting {
    /// A regular expression; ^ and $ are the ends of lines. A match has at most 4
    /// KiB. Escape sequences are left out
    #[arg(value_name = "PATTERN", value_parser = values::pattern)]
    pub(crate) pattern: regex::bytes::Regex,

    /// First type this and press Enter
    #[arg(long, value_name = "TEXT")]
    pub(crate) send: Option<String>,

    /// Search earlier output too: this many bytes, like 64K, or all
    #[arg(long, value_name = "BYTES")]
    pub(crate) scrollback: Option<Scrollback>,

    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// How long to wait.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// Give up after this many seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
}

/// Options of `vconsole log`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Printing {
    /// Continue with new output
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Leave out escape sequences
    #[arg(long)]
    pub(crate) filter: bool,

    /// Only output since then: a time like 2026-11-29T17:03, or an age like 10m or
    /// 2h. The log must have times
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Time>,

    /// Only output before then
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub(crate) until: Option<Time>,

    /// Only lines that match a regular expression
    #[arg(long, value_name = "PATTERN", value_parser = values::pattern)]
    pub(crate) grep: Option<regex::bytes::Regex>,

    /// Only the output of one boot of a kernel: 1 is the first in the log, 0 the
    /// last, -1 the one before
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        conflicts_with = "follow"
    )]
    pub(crate) boot: Option<i64>,

    /// The folder with logs of domains that have ended [default: that of the other
    /// logs, or /var/log/xen/console]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dir: Option<PathBuf>,
}

/// Options of `vconsole replay`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Playing {
    /// This many times as fast: 2, or 0.5
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::speed)]
    pub(crate) speed: f64,

    /// The longest pause in seconds of the recording
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub(crate) max_idle: Option<f64>,

    /// Leave out escape sequences
    #[arg(long)]
    pub(crate) filter: bool,

    /// The folder with recordings of domains that have ended [default: that of the
    /// other files, or /var/log/xen/console]
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dir: Option<PathBuf>,
}

/// Attaches to the console of a domain. Leave with ^].
#[derive(Debug, Parser)]
#[command(name = "xenconsole", version)]
pub(crate) struct Xenconsole {
    /// The domain's number
    pub(crate) domid: u16,

    /// The number of the console
    #[arg(short, long, default_value_t = 0)]
    pub(crate) num: u32,

    /// The type of the console; serial if there is one, else pv
    #[arg(short = 't', long = "type", value_enum)]
    pub(crate) kind: Option<Kind>,

    #[command(flatten)]
    pub(crate) session: Session,
}

/// `vconsole login` as a login shell: sshd passes the client's command by `-c`.
#[derive(Debug, Parser)]
#[command(name = "vconsole-login", version)]
pub(crate) struct LoginShell {
    /// A domain's name or number, and which of its consoles
    #[arg(short, value_name = "DOMAIN[/CONSOLE]", allow_hyphen_values = true)]
    pub(crate) command: Option<String>,
    #[command(flatten)]
    pub(crate) daemon: Control,
}

/// A type of console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The paravirtual console
    Pv,
    /// A serial port that a device model emulates
    Serial,
    /// The UART that the hypervisor emulates
    Vuart,
}
