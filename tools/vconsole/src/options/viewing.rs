// SPDX-License-Identifier: MIT
//! Options of a session: how a console is shown, and left.

use clap::Args;

use super::keys::{DEFAULT_ESCAPE, DEFAULT_MENU, MenuKey, escape};
use super::values::Scrollback;

/// Options of `vconsole attach`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Viewing {
    #[command(flatten)]
    pub(crate) session: Session,

    /// Watch only: typed keys do not reach the guest
    #[arg(short, long)]
    pub(crate) read_only: bool,

    #[command(flatten)]
    pub(crate) keyboard: Keyboard,

    /// How much earlier output to show: bytes, like 64K, or none or all [default:
    /// as configured in the daemon]
    #[arg(long, value_name = "BYTES")]
    pub(crate) scrollback: Option<Scrollback>,

    /// The key that makes the next key a command, literally or like ^T, or none
    #[arg(long, value_name = "KEY", default_value = "^T")]
    pub(crate) menu_key: MenuKey,

    /// Leave out escape sequences
    #[arg(long)]
    pub(crate) filter: bool,

    /// The caller's origin, if this is a restricted session by ssh.
    #[arg(skip)]
    pub(crate) login: Option<Origin>,
}

/// Exclusive typing.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Keyboard {
    /// Type exclusively: other users only watch; an error if another user already
    /// does
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) exclusive: bool,

    /// The same, taking over from another user; needs the right `control`
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) force: bool,
}

/// A user's origin: address and port, if sshd gave them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin(pub(crate) Option<String>);

impl Viewing {
    /// The defaults, with the connection's address from sshd.
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

/// Options for attaching a terminal to a console, and leaving it.
#[derive(Args, Clone, Debug)]
pub(crate) struct Session {
    /// Write a zero byte to this descriptor when the console is open
    #[arg(long, value_name = "FD")]
    pub(crate) start_notify_fd: Option<u32>,

    /// The character that leaves, literally or like ^]
    #[arg(short, long, value_name = "E", default_value = "^]", value_parser = escape)]
    pub(crate) escape: u8,

    /// Use the escape character even when standard input is no terminal
    #[arg(short, long)]
    pub(crate) interactive: bool,
}
