// SPDX-License-Identifier: MIT
//! Both command lines.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use values::Time;

// The page of the manual is made from this file, too.
#[path = "options/values.rs"]
pub(crate) mod values;

/// Leaves the console unless told otherwise: ^].
const DEFAULT_ESCAPE: u8 = 0x1d;
/// Makes the next key a command unless told otherwise: ^T.
const DEFAULT_MENU: u8 = 0x14;
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

/// How `vconsole attach` shows a console.
#[derive(Args, Clone, Debug)]
pub(crate) struct Viewing {
    #[command(flatten)]
    pub(crate) session: Session,

    /// Watch only: what is typed does not reach the guest
    #[arg(short, long)]
    pub(crate) read_only: bool,

    #[command(flatten)]
    pub(crate) keyboard: Keyboard,

    /// How much of what was said before to show: bytes, like 64K, or none or
    /// all; the daemon's choice without it
    #[arg(long, value_name = "BYTES")]
    pub(crate) scrollback: Option<Scrollback>,

    /// The key that makes the next one a command, as itself or like ^T, or
    /// none
    #[arg(long, value_name = "KEY", default_value = "^T")]
    pub(crate) menu_key: MenuKey,

    /// Leave out escape sequences
    #[arg(long)]
    pub(crate) filter: bool,

    /// Where the caller comes from, if it came by ssh and may do no more than
    /// this.
    #[arg(skip)]
    pub(crate) login: Option<Origin>,
}

/// Who else types.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Keyboard {
    /// Have nothing reach the guest that others type; an error if somebody has
    /// that already
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) exclusive: bool,

    /// The same, in place of whoever has it, for those who control the console
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) force: bool,
}

/// Whence somebody came: address and port, if sshd told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin(pub(crate) Option<String>);

impl Viewing {
    /// As for whoever gives no option, by what sshd says of the connection.
    pub(crate) fn of_login(connection: Option<String>) -> Self {
        let far_end = connection.map(|text| {
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            words.join(" ")
        });
        Self {
            session: Session {
                start_notify_fd: None,
                escape: DEFAULT_ESCAPE,
                interactive: false,
            },
            read_only: false,
            keyboard: Keyboard::default(),
            scrollback: None,
            menu_key: MenuKey(Some(DEFAULT_MENU)),
            filter: false,
            login: Some(Origin(far_end)),
        }
    }
}

/// An amount of history, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scrollback(pub(crate) u64);

impl FromStr for Scrollback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => return Ok(Self(0)),
            "all" => return Ok(Self(u64::MAX)),
            _ => {}
        }
        let digits = text.trim_end_matches(['k', 'K', 'm', 'M']);
        let unit = match &text[digits.len()..] {
            "" => Some(1),
            "k" | "K" => Some(1 << 10),
            "m" | "M" => Some(1 << 20),
            _ => None,
        };
        digits
            .parse()
            .ok()
            .zip(unit)
            .and_then(|(number, unit): (u64, u64)| number.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is neither bytes, like 64K, nor none or all"))
    }
}

/// The key before a command, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MenuKey(pub(crate) Option<u8>);

impl FromStr for MenuKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "none" => Ok(Self(None)),
            _ => escape(text).map(|key| Self(Some(key))),
        }
    }
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

#[derive(Args, Clone, Debug)]
pub(crate) struct Session {
    /// Write a zero byte to this descriptor when the console is open
    #[arg(long, value_name = "FD")]
    pub(crate) start_notify_fd: Option<u32>,

    /// The character that leaves, as itself or like ^]
    #[arg(short, long, value_name = "E", default_value = "^]", value_parser = escape)]
    pub(crate) escape: u8,

    /// Heed the escape character even when standard input is no terminal
    #[arg(short, long)]
    pub(crate) interactive: bool,
}

fn escape(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [b'^', letter @ (b'@'..=b'_' | b'a'..=b'z')] => Ok(letter & 0x1f),
        [one] if one.is_ascii() => Ok(*one),
        [] => Ok(DEFAULT_ESCAPE),
        _ => Err(format!("{text:?} is neither one character nor like ^]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_characters_or_like_a_control_key() {
        for (text, code) in [
            ("^]", 0x1d),
            ("^a", 1),
            ("^A", 1),
            ("^@", 0),
            ("~", b'~'),
            ("^", b'^'),
        ] {
            assert_eq!(escape(text), Ok(code), "{text:?}");
        }
        for text in ["^1", "ab", "^^^", "\u{e9}"] {
            assert!(escape(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn history_is_asked_for_in_bytes() {
        for (text, bytes) in [
            ("none", 0),
            ("0", 0),
            ("512", 512),
            ("64K", 65536),
            ("1m", 1_048_576),
            ("all", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Scrollback(bytes)), "{text:?}");
        }
        for text in ["", "K", "-1", "64KK", "64G", "99999999999999999999", "1.5M"] {
            assert!(text.parse::<Scrollback>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_people_say_is_understood() {
        for line in [
            "vconsole list",
            "vconsole list --json --watch --control /s",
            "vconsole attach",
            "vconsole attach web/vuart0 -r --scrollback none --menu-key ^A --filter",
            "vconsole attach web --menu-key none --escape ^X",
            "vconsole log -f web",
            "vconsole log web --since 10m --until 2026-11-29T17:03 --grep error --boot -1",
            "vconsole break 3",
            "vconsole attach web --exclusive",
            "vconsole attach web --wait",
            "vconsole send web reboot --enter",
            "vconsole send web",
            "vconsole expect web login: --timeout 60 --scrollback all",
            "vconsole expect web login: --send root",
            "vconsole attach web --force",
            "vconsole who --json",
            "vconsole message web the host is rebooted at ten",
            "vconsole message --all soon",
            "vconsole login",
            "vconsole login web/vuart0",
        ] {
            let parsed = Options::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
        for line in [
            "vconsole",
            "vconsole break",
            "vconsole attach --menu-key ab",
            "vconsole attach web --exclusive --read-only",
            "vconsole attach --wait",
            "vconsole log web --since yesterday",
            "vconsole log web --follow --boot 0",
            "vconsole send",
            "vconsole expect web",
            "vconsole expect web (",
            "vconsole message",
            "vconsole message web",
            "vconsole message --all",
        ] {
            assert!(Options::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    /// Every call of this program that a page quotes. What a usage text puts in
    /// brackets is there.
    #[test]
    fn what_the_pages_say_is_understood() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let mut left = vec![docs];
        let mut seen = 0;
        while let Some(page) = left.pop() {
            if page.is_dir() {
                left.extend(page.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            }
            if page.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&page).unwrap();
            let code = text.lines().flat_map(|line| {
                let in_block = !line.contains('`');
                let block = Some(line.trim_start()).filter(|_| in_block);
                block.into_iter().chain(line.split('`').skip(1).step_by(2))
            });
            for code in code {
                let call = code.trim_start_matches("# ").split(" #").next();
                let words = call.unwrap_or_default().split_whitespace();
                let words: Vec<_> = words.map(|word| word.replace(['[', ']'], "")).collect();
                if words.len() > 1 && words[0] == "vconsole" {
                    let parsed = Options::try_parse_from(&words);
                    assert!(parsed.is_ok(), "{}: {code}", page.display());
                    seen += 1;
                }
            }
        }
        assert!(seen > 10, "only {seen}: have the pages changed their form?");
    }

    #[test]
    fn what_libxl_says_is_understood() {
        for line in [
            "xenconsole 3 --num 0 --type pv",
            "xenconsole 3 --num 1 --type pv --start-notify-fd 9",
            "xenconsole 3 --num 0 --type vuart --start-notify-fd 9 --escape ^X",
            "xenconsole 3 --num 0 --type serial --interactive",
            "xenconsole 3 -n 2",
            "xenconsole 3",
        ] {
            let parsed = Xenconsole::try_parse_from(line.split(' '));
            assert_eq!(parsed.map(|options| options.domid).unwrap(), 3, "{line}");
        }
        for line in [
            "xenconsole",
            "xenconsole x",
            "xenconsole -1",
            "xenconsole 3 --type tty",
        ] {
            assert!(
                Xenconsole::try_parse_from(line.split(' ')).is_err(),
                "{line}"
            );
        }
    }
}
