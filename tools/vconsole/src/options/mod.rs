// SPDX-License-Identifier: MIT
//! Both command lines.

mod keys;
#[cfg(test)]
mod tests;
pub(crate) mod values;
mod viewing;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use values::{Scrollback, Time};
pub(crate) use viewing::{Session, Viewing};

/// Where the daemon listens.
const CONTROL: &str = "/run/vconsoled/control.sock";

/// Shows and reaches the consoles of Xen domains.
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
        /// As JSON, a line a look
        #[arg(long)]
        json: bool,
        /// Look again every second; any key ends it
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        daemon: Control,
    },
    /// List who is attached to the consoles that the caller controls
    Who {
        /// As a line of JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        daemon: Control,
    },
    /// Check that the file of the audit is as the daemon wrote it
    Audit {
        /// Files of one chain, the oldest first
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// An error if no line has this hash, which was noted before
        #[arg(long, value_name = "HASH")]
        contains: Option<String>,
    },
    /// Show a text to those who are attached; guests do not see it
    Message {
        /// Whose: a domain's name or number, and which of its consoles if not all of
        /// them; the first word of the text with --all
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        to: String,
        /// To everybody who is attached to a console
        #[arg(long)]
        all: bool,
        /// The text, 200 bytes at most
        #[arg(value_name = "TEXT", required_unless_present = "all")]
        text: Vec<String>,
        #[command(flatten)]
        daemon: Control,
    },
    /// Join this terminal, or standard input and output, to a console
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
    /// Print what a console said: its log, that of a domain which has gone
    /// too, or what the daemon remembers
    Log {
        /// A domain's name or number, and which of its consoles
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: Option<String>,
        #[command(flatten)]
        printing: Printing,
        #[command(flatten)]
        daemon: Control,
    },
    /// Play what a console said, as fast as it came, from its recording
    Replay {
        /// A file, or a domain's name or number and which of its consoles
        #[arg(value_name = "FILE|DOMAIN[/CONSOLE]")]
        recording: String,
        #[command(flatten)]
        playing: Playing,
        #[command(flatten)]
        daemon: Control,
    },
    /// Type a text into a console, and end when the guest's ring has it
    Send {
        /// A domain's name or number, and which of its consoles
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: String,
        #[command(flatten)]
        sending: Sending,
        #[command(flatten)]
        daemon: Control,
    },
    /// Wait until a console's output matches a pattern, and print it up to there
    Expect {
        /// A domain's name or number, and which of its consoles
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: String,
        #[command(flatten)]
        expecting: Expecting,
        #[command(flatten)]
        daemon: Control,
    },
    /// For sshd to start: the consoles that the caller may use, and nothing
    /// else. The words of the ssh client name one of them
    Login {
        /// The one console that is meant
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: Option<String>,
        #[command(flatten)]
        daemon: Control,
    },
    /// Send a break to a UART
    Break {
        /// A domain's name or number, and which of its consoles: vuart0
        /// unless said
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: String,
        #[command(flatten)]
        daemon: Control,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Control {
    /// Where the daemon's control socket is
    #[arg(
        long,
        value_name = "PATH",
        env = "VCONSOLED_CONTROL",
        default_value = CONTROL
    )]
    pub(crate) control: PathBuf,
}

/// What `vconsole send` types.
#[derive(Args, Clone, Debug)]
pub(crate) struct Sending {
    /// The text; standard input without it
    #[arg(value_name = "TEXT")]
    pub(crate) text: Vec<String>,

    /// Press Enter after it
    #[arg(short, long)]
    pub(crate) enter: bool,

    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// What `vconsole expect` waits for.
#[derive(Args, Clone, Debug)]
pub(crate) struct Expecting {
    /// A regular expression; ^ and $ are the ends of lines. A match has at most 4
    /// KiB. Escape sequences are left out
    #[arg(value_name = "PATTERN", value_parser = values::pattern)]
    pub(crate) pattern: regex::bytes::Regex,

    /// First type this and press Enter
    #[arg(long, value_name = "TEXT")]
    pub(crate) send: Option<String>,

    /// Look in so much of what was said before, too: bytes, like 64K, or all
    #[arg(long, value_name = "BYTES")]
    pub(crate) scrollback: Option<Scrollback>,

    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// For how long something is waited for.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Timeout {
    /// Give up after so many seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) timeout: u64,
}

/// What `vconsole log` prints.
#[derive(Args, Clone, Debug)]
pub(crate) struct Printing {
    /// Go on with what is said from now on
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Leave out escape sequences
    #[arg(long)]
    pub(crate) filter: bool,

    /// Only what was said since then: a time like 2026-11-29T17:03, or so long
    /// ago as 10m or 2h. The log must have times
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Time>,

    /// Only what was said before then
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    pub(crate) until: Option<Time>,

    /// Only lines that match a regular expression
    #[arg(long, value_name = "PATTERN", value_parser = values::pattern)]
    pub(crate) grep: Option<regex::bytes::Regex>,

    /// Only what was said in one boot of a kernel: 1 is the first in the log, 0 the
    /// last, -1 the one before
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        conflicts_with = "follow"
    )]
    pub(crate) boot: Option<i64>,

    /// Where the logs are of domains that have gone: where those of the others
    /// are, or /var/log/xen/console
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) dir: Option<PathBuf>,
}

/// How `vconsole replay` plays.
#[derive(Args, Clone, Debug)]
pub(crate) struct Playing {
    /// So many times as fast: 2, or 0.5
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::speed)]
    pub(crate) speed: f64,

    /// No pause is longer than so many seconds were
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    pub(crate) max_idle: Option<f64>,

    /// Leave out escape sequences
    #[arg(long)]
    pub(crate) filter: bool,

    /// Where the recordings are of domains that have gone: where the files of the
    /// others are, or /var/log/xen/console
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

/// `vconsole login` as a login shell: sshd gives it words by `-c`.
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
