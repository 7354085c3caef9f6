// SPDX-License-Identifier: MIT
//! `vconsole login`: started by sshd for users with access to consoles only, as a
//! forced command or as the login shell `vconsole-login`.
//!
//! No program is started from here. The command of an ssh client names a console,
//! by `SSH_ORIGINAL_COMMAND` or by `-c`, and has no other meaning.

use std::env;
use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use rustix::stdio::stdin;
use rustix::termios::isatty;

use crate::attach::socket;
use crate::choose::{self, Choice};
use crate::daemon::{Daemon, Row};
use crate::options::{LoginShell, Viewing};

/// Set by sshd: the client's command, if a forced command runs instead.
const ASKED: &str = "SSH_ORIGINAL_COMMAND";
/// Set by sshd: address and port of the client, address and port of the server.
const CONNECTION: &str = "SSH_CONNECTION";

/// The operator's and the user's choice of a console.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    /// The console that the operator set.
    fixed: Option<String>,
    /// The console that the user names.
    asked: Option<String>,
}

impl Words {
    /// Of a forced command: the operator's console is an argument.
    fn of_command(fixed: Option<&str>, original: Option<&str>) -> Self {
        Self {
            fixed: fixed.and_then(some),
            asked: original.and_then(some),
        }
    }

    /// Of a login shell: `-c` has the operator's command if there is a forced
    /// command, otherwise the user's.
    fn of_shell(command: Option<&str>, original: Option<&str>) -> Self {
        match original.and_then(some) {
            Some(_) => Self::of_command(command, original),
            None => Self::of_command(None, command),
        }
    }

    /// The chosen console, if any; an error if it is not one of `rows`, or not the
    /// one that the operator set.
    fn choose(&self, rows: &[Row]) -> anyhow::Result<Option<Choice>> {
        let named = |name: &str| {
            choose::named(rows, name)
                .with_context(|| format!("{name:?} is not the name of a console that you may use"))
        };
        let fixed = self.fixed.as_deref().map(named).transpose()?;
        let asked = self.asked.as_deref().map(named).transpose()?;
        match (&fixed, &asked) {
            (Some(only), Some(other)) if only != other => bail!("only {only} can be used here"),
            _ => Ok(fixed.or(asked)),
        }
    }
}

/// A trimmed text, unless it is empty.
fn some(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// As a forced command.
pub(crate) fn run(daemon: &Daemon, console: Option<&str>) -> anyhow::Result<()> {
    let words = Words::of_command(console, variable(ASKED)?.as_deref());
    serve(daemon, &words)
}

/// As a login shell.
pub(crate) fn shell(options: &LoginShell) -> anyhow::Result<()> {
    let words = Words::of_shell(options.command.as_deref(), variable(ASKED)?.as_deref());
    serve(&Daemon::at(&options.daemon.control), &words)
}

fn variable(name: &str) -> anyhow::Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => bail!("{name} is not UTF-8"),
    }
}

fn serve(daemon: &Daemon, words: &Words) -> anyhow::Result<()> {
    let viewing = Viewing::of_login(variable(CONNECTION)?);
    let usable = || {
        let status = daemon.status()?;
        choose::among(&status, |rows| {
            let rows: Vec<Row> = rows.iter().filter(|row| is_usable(row)).cloned().collect();
            if rows.is_empty() {
                bail!("there is no console that you may use");
            }
            Ok(rows)
        })
    };
    let rows = usable()?;
    let only = match words.choose(&rows)? {
        Some(choice) => Some(choice),
        None => choose::only(&rows),
    };
    if let Some(choice) = only {
        return socket::run(daemon.clone(), &choice, &viewing)?.into_result();
    }
    if !isatty(stdin()) {
        // Without a terminal the user is not asked.
        return choose::any(&rows, false).map(drop);
    }
    loop {
        let rows = usable()?;
        writeln!(io::stderr(), "consoles, by number or name; ^D ends")?;
        let stdin = io::stdin().lock();
        match choose::from_list(&rows, stdin, io::stderr())? {
            Some(choice) => drop(socket::run(daemon.clone(), &choice, &viewing)?),
            None => return Ok(()),
        }
    }
}

/// Whether the caller may at least watch the console.
fn is_usable(row: &Row) -> bool {
    row.rights.iter().any(|right| right == "watch") && !choose::is_channel(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |domid, name: &str, console: &str| Row {
            domid,
            name: name.into(),
            console: console.into(),
            ..Row::default()
        };
        vec![
            row(1, "web", "pv0"),
            row(1, "web", "vuart0"),
            row(2, "my db", "pv0"),
        ]
    }

    fn chosen(words: &Words) -> String {
        match words.choose(&rows()) {
            Ok(choice) => choice.map_or("any".to_owned(), |choice| choice.to_string()),
            Err(error) => format!("no: {error}"),
        }
    }

    #[test]
    fn arguments_name_a_console_and_nothing_else() {
        for (command, original, expected) in [
            (None, None, "any"),
            (None, Some(" "), "any"),
            (None, Some("web"), "console pv0 of domain 1, web"),
            (None, Some("web/vuart0"), "console vuart0 of domain 1, web"),
            (None, Some("my db\n"), "console pv0 of domain 2, my db"),
            (Some("web"), None, "console pv0 of domain 1, web"),
            (Some("web"), Some("web/pv0"), "console pv0 of domain 1, web"),
        ] {
            let words = Words::of_command(command, original);
            assert_eq!(chosen(&words), expected, "{command:?} {original:?}");
        }
        for (command, original) in [
            (None, Some("sh")),
            (None, Some("web; sh")),
            (None, Some("vconsole attach web")),
            (None, Some("/usr/lib/openssh/sftp-server")),
            (Some("web"), Some("my db")),
            (Some("web"), Some("web/vuart0")),
            (Some("none"), Some("web")),
        ] {
            let words = Words::of_command(command, original);
            let said = chosen(&words);
            assert!(said.starts_with("no: "), "{command:?} {original:?}: {said}");
        }
    }

    #[test]
    fn a_login_shell_distinguishes_arguments_of_operator_and_user() {
        assert_eq!(Words::of_shell(None, None), Words::default());
        let users = Words::of_shell(Some("web"), None);
        assert_eq!((users.fixed, users.asked), (None, Some("web".to_owned())));
        let operators = Words::of_shell(Some("web"), Some("sh"));
        assert_eq!(operators.fixed.as_deref(), Some("web"));
        assert_eq!(operators.asked.as_deref(), Some("sh"));
    }

    #[test]
    fn what_may_not_be_watched_is_not_offered() {
        let row = |rights: &[&str], kind: &str| Row {
            rights: rights.iter().map(|right| (*right).to_owned()).collect(),
            kind: kind.into(),
            ..Row::default()
        };
        assert!(is_usable(&row(&["list", "watch"], "pv")));
        assert!(!is_usable(&row(&["list", "break"], "pv")));
        assert!(!is_usable(&row(&["list", "watch"], "channel")));
    }
}
