// SPDX-License-Identifier: MIT
//! `vconsole who` and `vconsole message`: attached users, and messages to them.

use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use console_proto::{Request, To, Viewer, Who, plain};
use nix::unistd::{Uid, User};

use crate::choose;
use crate::daemon::Daemon;
use crate::table;

/// Prints the attached users.
pub(crate) fn print(daemon: &Daemon, json: bool) -> anyhow::Result<()> {
    let line = daemon.ask_list(Request::Who)?;
    let text = if json {
        line
    } else {
        let who: Who = serde_json::from_str(&line)?;
        table(&who.viewers, SystemTime::now())
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Shows a text to all users of a domain's consoles, of one of them, or of all
/// consoles.
pub(crate) fn message(daemon: &Daemon, to: Option<&str>, text: &str) -> anyhow::Result<()> {
    let viewers = match to {
        None => daemon.message(To::All, text)?,
        Some(name) => {
            let status = daemon.status()?;
            let meant = choose::among(&status, |rows| choose::all_of(rows, name))?;
            daemon.message(To::Some(&meant), text)?
        }
    };
    writeln!(io::stderr(), "vconsole: shown to {viewers}")?;
    Ok(())
}

fn table(viewers: &[Viewer], now: SystemTime) -> String {
    let rows = viewers.iter().map(|one| {
        let name = plain(&one.name);
        let domain = if name.is_empty() {
            one.domid.to_string()
        } else {
            name
        };
        let how = match (one.exclusive, one.types) {
            (true, _) => "types alone",
            (_, true) => "types",
            _ => "watches",
        };
        let since = one.since.map(Duration::from_secs).and_then(|since| {
            let since = SystemTime::UNIX_EPOCH + since;
            now.duration_since(since).ok()
        });
        [
            format!("{domain}/{}", one.console),
            one.uid.map_or_else(|| "-".to_owned(), user),
            one.pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            one.origin.as_deref().map_or_else(|| "-".to_owned(), plain),
            one.way.clone(),
            how.to_owned(),
            since.map_or_else(|| "-".to_owned(), length),
            one.idle
                .map_or_else(|| "-".to_owned(), |idle| length(Duration::from_secs(idle))),
        ]
    });
    let head = [
        "CONSOLE", "USER", "PROCESS", "FROM", "BY", "HOW", "FOR", "IDLE",
    ];
    table::aligned(head, rows)
}

fn user(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// A duration, in its two largest units.
fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_are_listed_without_control_characters() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let viewers = [
            Viewer {
                domid: 3,
                name: "we\u{1b}b".into(),
                console: "vuart0".into(),
                uid: Some(0),
                pid: Some(7),
                origin: Some("192.0.2.1\u{7} 5".into()),
                way: "control".into(),
                types: true,
                exclusive: true,
                since: Some(1000),
                idle: Some(65),
            },
            Viewer {
                domid: 3,
                console: "pv0".into(),
                way: "pty".into(),
                types: true,
                ..Viewer::default()
            },
        ];
        let text = table(&viewers, since + Duration::from_secs(90_000));
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = text.lines().map(words).collect();
        assert_eq!(
            lines[1..],
            [
                "web/vuart0 root 7 192.0.2.1 5 control types alone 1d 1h 1m 5s",
                "3/pv0 - - - pty types - -"
            ]
        );
    }

    #[test]
    fn lengths_have_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (3599, "59m 59s"),
            (3600, "1h 0m"),
            (86_399, "23h 59m"),
            (90_000, "1d 1h"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), text);
        }
    }
}
