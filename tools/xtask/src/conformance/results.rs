// SPDX-License-Identifier: MIT
//! What became of the cases on the targets, and the table of it.

use std::fmt::Write as _;

use conformance::protocol::{self, Request};
use conformance::{Case, Stop, Verdict};
use serde::{Deserialize, Serialize};

use super::Target;

/// How a case ended on a target.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "ending", content = "why")]
pub(super) enum Ending {
    /// As it must.
    Pass,
    /// Otherwise.
    Fail(String),
    /// It could not be tried.
    NotApplicable(String),
    /// The target ended before it.
    Missing,
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Pass,
            Err(stop @ Stop::Failed(_)) => Self::Fail(stop.to_string()),
            Err(stop @ Stop::NotPossible(_)) => Self::NotApplicable(stop.to_string()),
        }
    }
}

impl Ending {
    fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "FAIL",
            Self::NotApplicable(_) => "n/a",
            Self::Missing => "FAIL (missing)",
        }
    }

    /// Whether a target that must pass everything is at fault.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::Fail(_) | Self::Missing)
    }
}

/// The endings of all cases on one target, in their order.
pub(super) type Results = Vec<Ending>;

/// The endings that a suite elsewhere has told so far.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Results);

impl Verdicts {
    /// Takes what is no request to the peer; whether the suite is done.
    pub(super) fn take(&mut self, request: &Request<'_>) -> bool {
        if let Request::Verdict { case, ending, why } = *request {
            let why = String::from_utf8_lossy(why).into_owned();
            let ending = match ending {
                protocol::Ending::Passed => Ending::Pass,
                protocol::Ending::Failed => Ending::Fail(why),
                protocol::Ending::NotPossible => Ending::NotApplicable(why),
            };
            self.0.resize(case.into(), Ending::Missing);
            self.0.push(ending);
        }
        *request == Request::Done
    }

    /// With a place for each case.
    pub(super) fn finish(mut self) -> Results {
        self.0.resize(conformance::all().count(), Ending::Missing);
        self.0
    }
}

/// One row of the report.
#[derive(Serialize)]
struct Row<'a> {
    group: &'a str,
    name: &'a str,
    source: &'a str,
    targets: serde_json::Map<String, serde_json::Value>,
}

/// The report for programs.
pub(super) fn json(results: &[(Target, Results)]) -> serde_json::Result<String> {
    let rows: Vec<Row> = rows(results)
        .map(|(case, endings)| {
            let of = |(target, ending): (Target, &Ending)| {
                Ok((target.name().to_owned(), serde_json::to_value(ending)?))
            };
            Ok(Row {
                group: case.group,
                name: case.name,
                source: case.source,
                targets: endings
                    .into_iter()
                    .map(of)
                    .collect::<serde_json::Result<_>>()?,
            })
        })
        .collect::<serde_json::Result<_>>()?;
    serde_json::to_string_pretty(&rows)
}

fn rows(
    results: &[(Target, Results)],
) -> impl Iterator<Item = (&'static Case, Vec<(Target, &Ending)>)> {
    conformance::all().enumerate().map(|(at, case)| {
        let endings = results
            .iter()
            .map(|(target, results)| (*target, results.get(at).unwrap_or(&Ending::Missing)));
        (case, endings.collect())
    })
}

/// The table for people, as Markdown.
pub(super) fn table(results: &[(Target, Results)]) -> String {
    let mut table = String::from("| case | rests on |");
    for (target, _) in results {
        let _ = write!(table, " {} |", target.name());
    }
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(results.len()));
    table.push('\n');
    for (case, endings) in rows(results) {
        let _ = write!(table, "| {}::{} | {} |", case.group, case.name, case.source);
        for (_, ending) in endings {
            let _ = write!(table, " {} |", ending.word());
        }
        table.push('\n');
    }
    table
}

/// How many cases ended how on a target.
pub(super) fn summary(results: &Results) -> String {
    let count = |what: fn(&Ending) -> bool| results.iter().filter(|ending| what(ending)).count();
    let mut summary = format!("{} pass", count(|ending| *ending == Ending::Pass));
    for (word, number) in [
        ("FAIL", count(Ending::is_fault)),
        (
            "n/a",
            count(|ending| matches!(ending, Ending::NotApplicable(_))),
        ),
    ] {
        if number > 0 {
            let _ = write!(summary, ", {number} {word}");
        }
    }
    summary
}

/// The failures and the cases left out, each with its reason once.
pub(super) fn findings(results: &[(Target, Results)]) -> String {
    let mut text = String::new();
    for (target, results) in results {
        for (case, ending) in conformance::all().zip(results) {
            let why = match ending {
                Ending::Fail(why) => why,
                Ending::Missing => "it did not run",
                Ending::Pass | Ending::NotApplicable(_) => continue,
            };
            let name = target.name();
            let _ = writeln!(text, "{name}: {}::{}: {why}", case.group, case.name);
        }
    }
    text
}
