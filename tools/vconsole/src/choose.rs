// SPDX-License-Identifier: MIT
//! Selects one of the daemon's consoles.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, Write};

use anyhow::{Context as _, bail};

use crate::daemon::{Row, Status};
use crate::exit::{self, Why};

/// The console if only a domain is named.
pub(crate) const DEFAULT: &str = "pv0";
/// The kind of consoles for one program at a time, on a socket or a pty of their
/// own.
const CHANNEL: &str = "channel";

/// One console of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) domid: u16,
    name: String,
    pub(crate) console: String,
}

impl Choice {
    fn of(row: &Row) -> Self {
        Self {
            domid: row.domid,
            name: row.plain_name(),
            console: row.console.clone(),
        }
    }

    /// The warning for a user who named the domain `asked`, if other domains have
    /// that name too.
    pub(crate) fn ambiguity(&self, rows: &[Row], asked: &str) -> Option<String> {
        let names = [
            Some(asked),
            asked.rsplit_once('/').map(|(domain, _)| domain),
        ];
        let has_it = |row: &&Row| names.contains(&Some(row.name.as_str()));
        let others = rows.iter().filter(has_it).map(|row| row.domid);
        let others: BTreeSet<u16> = others.filter(|domid| *domid != self.domid).collect();
        let others: Vec<String> = others.iter().map(u16::to_string).collect();
        let Self { domid, name, .. } = self;
        (!others.is_empty()).then(|| {
            let others = others.join(", ");
            format!("domain {domid} is the newest that is called {name}; so is {others}")
        })
    }
}

/// A choice among the consoles that the daemon lists. The list may be incomplete.
pub(crate) fn among<T>(
    status: &Status,
    choose: impl FnOnce(&[Row]) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    choose(&status.consoles).map_err(|error| match &status.incomplete {
        Some(why) => exit::because(Why::Silent, why),
        None => error,
    })
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "console {} of domain {}", self.console, self.domid)?;
        if !self.name.is_empty() {
            write!(f, ", {}", self.name)?;
        }
        Ok(())
    }
}

/// The console by its name: `DOMAIN` or `DOMAIN/CONSOLE`. A domain's name comes
/// before its number.
pub(crate) fn named(rows: &[Row], name: &str) -> anyhow::Result<Choice> {
    // A domain's name may hold a slash itself.
    if let Some(choice) = of_domain(rows, name) {
        return Ok(choice);
    }
    let Some((domain, console)) = name.rsplit_once('/') else {
        return Err(missing(format!(
            "there is no domain {name:?} with a console"
        )));
    };
    let rows = domain_rows(rows, domain);
    if rows.is_empty() {
        return Err(missing(format!(
            "there is no domain {domain:?} with a console"
        )));
    }
    if let Some(row) = rows
        .iter()
        .find(|row| row.console == console || row.console.strip_suffix('0') == Some(console))
    {
        if row.kind == CHANNEL {
            bail!("{console:?} of {domain:?} is a channel, at {}", row.tty);
        }
        return Ok(Choice::of(row));
    }
    let known: Vec<&str> = rows.iter().map(|row| row.console.as_str()).collect();
    let known = known.join(", ");
    let what = format!("{console:?} is no console of {domain:?}: {known} is");
    Err(missing(what))
}

fn missing(what: String) -> anyhow::Error {
    exit::because(Why::Missing, what)
}

/// The target of a message for `DOMAIN` or `DOMAIN/CONSOLE`, in numbers: all
/// consoles of a domain, unless one is named.
pub(crate) fn all_of(rows: &[Row], name: &str) -> anyhow::Result<String> {
    if let Some(row) = domain_rows(rows, name).first() {
        return Ok(row.domid.to_string());
    }
    let choice = named(rows, name)?;
    Ok(format!("{}/{}", choice.domid, choice.console))
}

/// The console for a break: a UART, unless another is named.
pub(crate) fn for_break(rows: &[Row], name: &str) -> anyhow::Result<Choice> {
    let has_break = |row: &&&Row| row.kind.starts_with("vuart");
    if let Some(row) = domain_rows(rows, name).iter().find(has_break) {
        return Ok(Choice::of(row));
    }
    let choice = named(rows, name)?;
    let row = rows.iter().find(|row| Choice::of(row) == choice);
    if row.as_ref().is_none_or(|row| !has_break(&row)) {
        bail!("{choice} is not a UART; only UARTs have breaks");
    }
    Ok(choice)
}

/// The console of the only domain; of several, the user chooses.
pub(crate) fn any(rows: &[Row], ask: bool) -> anyhow::Result<Choice> {
    let consoles: Vec<Row> = rows
        .iter()
        .filter(|row| row.kind != CHANNEL)
        .cloned()
        .collect();
    let rows = &consoles[..];
    if rows.is_empty() {
        return Err(missing("no domain has a console".to_owned()));
    }
    if let Some(choice) = only(rows) {
        return Ok(choice);
    }
    if ask {
        let chosen = from_list(rows, std::io::stdin().lock(), std::io::stderr())?;
        return chosen.context("none chosen");
    }
    let names: Vec<String> = rows.iter().map(full_name).collect();
    bail!("which one? {}", names.join(" "))
}

/// The console of the only domain.
pub(crate) fn only(rows: &[Row]) -> Option<Choice> {
    let first = rows.first()?;
    if rows.iter().any(|row| row.domid != first.domid) {
        return None;
    }
    of_domain(rows, &first.domid.to_string())
}

/// Whether the console is for one program at a time.
pub(crate) fn is_channel(row: &Row) -> bool {
    row.kind == CHANNEL
}

fn of_domain(rows: &[Row], domain: &str) -> Option<Choice> {
    let rows = domain_rows(rows, domain);
    let row = rows
        .iter()
        .find(|row| row.console == DEFAULT)
        .or(rows.iter().find(|row| row.kind != CHANNEL))?;
    Some(Choice::of(row))
}

fn domain_rows<'a>(rows: &'a [Row], domain: &str) -> Vec<&'a Row> {
    let named = |row: &&Row| !row.name.is_empty() && row.name == domain;
    let named = rows.iter().filter(named);
    // The newest of several, as in the folder of sockets by name; domains with more
    // than channels come first.
    let newest = named.max_by_key(|row| (row.kind != CHANNEL, row.domid));
    let domid = newest.map(|row| row.domid).or_else(|| domain.parse().ok());
    rows.iter().filter(|row| Some(row.domid) == domid).collect()
}

fn full_name(row: &Row) -> String {
    let name = row.plain_name();
    if name.is_empty() {
        format!("{}/{}", row.domid, row.console)
    } else {
        format!("{name}/{}", row.console)
    }
}

/// The console that the user chooses; `None` at end of input.
pub(crate) fn from_list(
    rows: &[Row],
    mut answers: impl BufRead,
    mut screen: impl Write,
) -> anyhow::Result<Option<Choice>> {
    for (number, row) in (1..).zip(rows) {
        writeln!(screen, "{number:4}  {}", full_name(row))?;
    }
    loop {
        write!(screen, "which one? ")?;
        screen.flush()?;
        let mut line = String::new();
        if answers.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim();
        let chosen = line
            .parse()
            .ok()
            .and_then(|number: usize| rows.get(number.checked_sub(1)?))
            .map(Choice::of);
        match chosen.or_else(|| named(rows, line).ok()) {
            Some(choice) => return Ok(Some(choice)),
            None => writeln!(screen, "{line:?} is none of them")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(consoles: &[(u16, &str, &str)]) -> Vec<Row> {
        consoles
            .iter()
            .map(|&(domid, name, console)| Row {
                domid,
                name: name.into(),
                console: console.into(),
                ..Row::default()
            })
            .collect()
    }

    #[test]
    fn a_channel_is_not_offered() {
        let mut rows = rows(&[(1, "web", "channel1"), (2, "db", "pv0")]);
        rows[0].kind = "channel".into();
        rows[0].tty = "/run/agent.sock".into();
        let why = short(named(&rows, "web/channel1"));
        assert!(why.ends_with("is a channel, at /run/agent.sock"), "{why}");
        assert!(short(named(&rows, "web")).contains("no domain"));
        assert_eq!(short(any(&rows, false)), "2/pv0");
    }

    fn short(choice: anyhow::Result<Choice>) -> String {
        choice.map_or_else(
            |error| error.to_string(),
            |choice| format!("{}/{}", choice.domid, choice.console),
        )
    }

    #[test]
    fn a_name_comes_before_a_number_and_pv0_before_others() {
        let rows = rows(&[
            (1, "web", "pv0"),
            (1, "web", "vuart0"),
            (2, "1", "vuart0"),
            (3, "a/b", "pv0"),
        ]);
        let find = |name: &str| short(named(&rows, name));
        assert_eq!(find("web"), "1/pv0");
        assert_eq!(find("web/vuart0"), "1/vuart0");
        assert_eq!(find("web/vuart"), "1/vuart0");
        assert_eq!(find("1"), "2/vuart0");
        assert_eq!(find("2/vuart0"), "2/vuart0");
        assert_eq!(find("a/b"), "3/pv0");
        assert_eq!(find("a/b/pv0"), "3/pv0");
        assert!(find("nobody").contains("no domain \"nobody\""));
        assert!(
            find("web/tty").contains("pv0, vuart0 is"),
            "{}",
            find("web/tty")
        );
        assert!(find("").contains("no domain"));
    }

    #[test]
    fn a_message_is_for_a_domain_unless_a_console_is_named() {
        let rows = rows(&[(1, "web", "vuart0"), (2, "web", "pv0"), (3, "a/b", "pv0")]);
        for (name, meant) in [
            ("web", "2"),
            ("1", "1"),
            ("web/pv0", "2/pv0"),
            ("1/vuart", "1/vuart0"),
            ("a/b", "3"),
        ] {
            assert_eq!(all_of(&rows, name).unwrap(), meant, "{name}");
        }
        assert!(all_of(&rows, "db").is_err());
    }

    #[test]
    fn of_two_domains_of_a_name_the_newest_is_used() {
        let rows = rows(&[(1, "web", "pv0"), (9, "web", "pv0"), (3, "db", "pv0")]);
        assert_eq!(short(named(&rows, "web")), "9/pv0");
        assert_eq!(short(named(&rows, "1/pv0")), "1/pv0");
    }

    #[test]
    fn a_name_of_several_domains_reports_the_others() {
        let mut rows = rows(&[(1, "web", "pv0"), (9, "web", "pv0"), (9, "web", "pv1")]);
        rows.push(Row {
            domid: 12,
            name: "web".into(),
            kind: CHANNEL.into(),
            ..Row::default()
        });
        let told = |name: &str| named(&rows, name).unwrap().ambiguity(&rows, name);
        for name in ["web", "web/pv0", "web/pv1"] {
            let expected = "domain 9 is the newest that is called web; so is 1, 12";
            assert_eq!(told(name).as_deref(), Some(expected), "{name}");
        }
        for name in ["1", "9/pv0"] {
            assert_eq!(told(name), None, "{name}");
        }
    }

    #[test]
    fn an_incomplete_list_does_not_show_that_a_domain_is_missing() {
        let status = |incomplete| Status {
            version: 1,
            pid: 1,
            consoles: rows(&[(1, "web", "pv0")]),
            incomplete,
        };
        let find =
            |incomplete, name: &str| short(among(&status(incomplete), |rows| named(rows, name)));
        let why = || Some("not known yet".to_owned());
        assert_eq!(find(why(), "web"), "1/pv0");
        assert_eq!(find(why(), "db"), "not known yet");
        assert!(find(None, "db").contains("no domain"));
    }

    #[test]
    fn only_a_uart_has_a_break() {
        let mut rows = rows(&[
            (1, "web", "pv0"),
            (1, "web", "pv1"),
            (1, "web", "vuart0"),
            (2, "db", "pv0"),
        ]);
        rows[2].kind = "vuart-private".into();
        for name in ["web", "1", "web/vuart", "1/vuart0"] {
            assert_eq!(short(for_break(&rows, name)), "1/vuart0", "{name}");
        }
        for name in ["web/pv0", "1/pv1", "db", "2/pv0"] {
            let why = short(for_break(&rows, name));
            assert!(
                why.contains("is not a UART; only UARTs have breaks"),
                "{name}: {why}"
            );
        }
    }

    #[test]
    fn without_a_name_the_only_domain_is_used() {
        let one = rows(&[(7, "", "vuart0"), (7, "", "pv0")]);
        assert_eq!(short(any(&one, false)), "7/pv0");
        let two = rows(&[(7, "a", "pv0"), (8, "b", "pv0")]);
        assert_eq!(short(any(&two, false)), "which one? a/pv0 b/pv0");
        assert!(short(any(&[], false)).contains("no domain"));
    }

    #[test]
    fn a_list_is_answered_by_number_or_name() {
        let rows = rows(&[(7, "a\x1b", "pv0"), (8, "b", "pv0")]);
        for (answers, chosen) in [
            ("2\n", "8/pv0"),
            ("0\n9\nx\n1\n", "7/pv0"),
            ("b\n", "8/pv0"),
        ] {
            let mut screen = Vec::new();
            let choice = from_list(&rows, answers.as_bytes(), &mut screen);
            assert_eq!(short(choice.map(Option::unwrap)), chosen, "{answers:?}");
            let screen = String::from_utf8(screen).unwrap();
            assert!(screen.starts_with("   1  a/pv0\n   2  b/pv0\n"), "{screen}");
        }
        assert_eq!(from_list(&rows, &b""[..], Vec::new()).unwrap(), None);
    }
}
