// SPDX-License-Identifier: MIT
//! What became of the cases on the targets, and the table of it.

use std::fmt::Write as _;

use conformance::Case;
use e2e::suite::{Ending, Results};

use super::Target;

/// How a case reads in the table.
fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Pass => "pass",
        Ending::Fail(_) => "FAIL",
        Ending::NotApplicable(_) => "n/a",
        Ending::Missing => "FAIL (missing)",
    }
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
            let _ = write!(table, " {} |", word(ending));
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

/// A line on each target.
pub(super) fn summaries(results: &[(Target, Results)]) -> String {
    let line = |(target, results): &(Target, Results)| {
        format!("- {}: {}\n", target.name(), summary(results))
    };
    results.iter().map(line).collect()
}
