// SPDX-License-Identifier: MIT
//! Both command lines.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Leaves the console unless told otherwise: ^].
const DEFAULT_ESCAPE: u8 = 0x1d;

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
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Where the daemon's control socket is
        #[arg(
            long,
            value_name = "PATH",
            default_value = "/run/vconsoled/control.sock"
        )]
        control: PathBuf,
    },
    /// Join this terminal, or standard input and output, to a console
    Attach {
        /// A domain's name or number, and which of its consoles: pv0 (the
        /// default), vuart0, serial0
        #[arg(value_name = "DOMAIN[/CONSOLE]")]
        console: String,
        #[command(flatten)]
        session: Session,
    },
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
