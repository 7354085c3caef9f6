// SPDX-License-Identifier: MIT
//! docs/evidence/conformance.md lists the cases of this suite.

use std::fs;
use std::path::Path;

#[test]
fn the_table_has_exactly_the_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence/conformance.md");
    let document = fs::read_to_string(&path).expect("docs/evidence/conformance.md");
    let rows: Vec<(&str, &str)> = document
        .lines()
        .filter_map(|line| {
            let (case, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
            Some((case, rest.split_once(" | ")?.0))
        })
        .filter(|(case, _)| case.contains("::"))
        .collect();
    let cases: Vec<(String, &str)> = conformance::all()
        .map(|case| (format!("{}::{}", case.group, case.name), case.source))
        .collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(c, s)| (c.as_str(), *s)).collect();
    assert_eq!(
        rows, cases,
        "`cargo xtask conformance --docs` writes it anew"
    );
}

#[test]
fn every_case_has_its_own_name_and_rests_on_something() {
    let mut names: Vec<_> = conformance::all()
        .map(|case| (case.group, case.name))
        .collect();
    let count = names.len();
    assert!(count >= 120, "only {count} cases");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a name stands twice");
    assert!(conformance::all().all(|case| !case.source.is_empty()));
}

/// Ours passes every case that it can run.
#[test]
fn no_failure_of_ours_is_in_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence/conformance.md");
    let document = fs::read_to_string(&path).expect("docs/evidence/conformance.md");
    let head = "| case | rests on | model | qemu | xen-stock | xen | amd |";
    assert!(document.lines().any(|line| line == head));
    for line in document
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("::"))
    {
        let cells: Vec<&str> = line.split(" | ").collect();
        assert_eq!((cells[2], cells[5]), ("pass", "pass"), "{line}");
    }
}
