// SPDX-License-Identifier: MIT
//! The results of the cases on the targets, and their table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use conformance::Case;
use e2e::suite::{Ending, Results};
use serde::Deserialize;
use serde_json::json;

/// A column's title, and the endings of all cases.
pub(super) type Column = (&'static str, Results);

/// The text for a case in the table.
fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Pass => "pass",
        Ending::Fail(_) => "FAIL",
        Ending::NotApplicable(_) => "n/a",
        Ending::Missing => "FAIL (missing)",
    }
}

fn rows(
    results: &[Column],
) -> impl Iterator<Item = (&'static Case, impl Iterator<Item = &Ending>)> {
    conformance::all().enumerate().map(move |(at, case)| {
        let endings = results
            .iter()
            .map(move |(_, results)| results.get(at).unwrap_or(&Ending::Missing));
        (case, endings)
    })
}

/// The table as Markdown.
pub(super) fn table(results: &[Column]) -> String {
    let mut table = String::from("| case | rests on |");
    for (target, _) in results {
        let _ = write!(table, " {target} |");
    }
    table.push_str("\n|---|---|");
    table.push_str(&"---|".repeat(results.len()));
    table.push('\n');
    for (case, endings) in rows(results) {
        let _ = write!(table, "| {}::{} | {} |", case.group, case.name, case.source);
        for ending in endings {
            let _ = write!(table, " {} |", word(ending));
        }
        table.push('\n');
    }
    table
}

/// The number of cases by ending on a target.
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

/// The failed and the omitted cases, each reason once.
pub(super) fn findings(results: &[Column]) -> String {
    let mut text = String::new();
    for (target, results) in results {
        for (case, ending) in conformance::all().zip(results) {
            let why = match ending {
                Ending::Fail(why) => why,
                Ending::Missing => "it did not run",
                Ending::Pass | Ending::NotApplicable(_) => continue,
            };
            let _ = writeln!(text, "{target}: {}::{}: {why}", case.group, case.name);
        }
    }
    text
}

/// The results on one target, by group and name, with the target's description.
pub(super) fn json(of: &str, results: &Results) -> Result<String> {
    let cases: BTreeMap<String, &Ending> = conformance::all()
        .map(|case| format!("{}::{}", case.group, case.name))
        .zip(results)
        .collect();
    Ok(serde_json::to_string_pretty(
        &json!({ "of": of, "cases": cases }),
    )?)
}

/// The results in such a file, in the order of the cases.
pub(super) fn of_json(text: &str) -> Result<Results> {
    #[derive(Deserialize)]
    struct File {
        cases: BTreeMap<String, Ending>,
    }
    let mut file: File = serde_json::from_str(text)?;
    Ok(conformance::all()
        .map(|case| {
            let name = format!("{}::{}", case.group, case.name);
            file.cases.remove(&name).unwrap_or(Ending::Missing)
        })
        .collect())
}

/// A line for each target.
pub(super) fn summaries(results: &[Column]) -> String {
    let line = |(target, results): &Column| format!("- {target}: {}\n", summary(results));
    results.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_case_is_in_the_file_by_its_name() {
        let count = conformance::all().count();
        let mut results = vec![Ending::Pass; count];
        results[0] = Ending::Fail("so".into());
        let text = json("a tree", &results).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["of"], "a tree");
        assert_eq!(read["cases"].as_object().unwrap().len(), count);
        for (case, ending) in conformance::all().zip(results) {
            let name = format!("{}::{}", case.group, case.name);
            assert_eq!(read["cases"][&name], json!(ending), "{name}");
        }
    }

    /// The page contains the results of the run by hand, as in their file.
    #[test]
    fn the_page_has_the_column_of_amds_file() {
        let evidence = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence");
        let read = |name| std::fs::read_to_string(evidence.join(name)).unwrap();
        let column = [("amd", of_json(&read("conformance-amd.json")).unwrap())];
        let page = read("conformance.md");
        assert!(page.contains(&summaries(&column)));
        for (case, endings) in rows(&column) {
            let name = format!("| {}::{} |", case.group, case.name);
            let row = page.lines().find(|line| line.starts_with(&name));
            let ending = endings.map(word).collect::<String>();
            assert!(row.unwrap().ends_with(&format!(" {ending} |")), "{name}");
        }
    }
}
