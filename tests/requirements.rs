// SPDX-License-Identifier: MIT
//! docs/design/requirements.md names only tests that exist, and omits no rule.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The rows of all tables: the id and the cells after it.
fn rows(document: &str) -> Vec<(String, String)> {
    document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(" | "))
        .filter(|(id, _)| *id != "id")
        .map(|(id, cells)| (id.to_owned(), cells.to_owned()))
        .collect()
}

/// The paths of tests in a row's cells.
fn tests(cells: &str) -> Vec<&str> {
    cells
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.contains("::"))
        .collect()
}

/// The file of a test named by a path such as `model::drivers::linux::x`.
fn file(path: &str) -> (String, &str) {
    let (modules, name) = path.rsplit_once("::").expect("a path of modules");
    let modules = modules.replace("::", "/");
    let file = match modules.split_once('/') {
        Some(("hyp-shim", modules)) => format!("hyp-shim/tests/{modules}.rs"),
        Some(("conformance", modules)) => format!("tools/conformance/src/cases/{modules}.rs"),
        _ => format!("tests/{modules}.rs"),
    };
    (file, name)
}

/// Whether a file has a test of this name: a function under `#[test]`, or an entry
/// of a list for a macro, where its source may follow.
fn has_test(source: &str, name: &str) -> bool {
    let mut previous = "";
    for line in source.lines().map(str::trim) {
        let is_function = line.starts_with(&format!("fn {name}("));
        let is_entry = line == name || line.starts_with(&format!("{name} \""));
        if is_function && previous == "#[test]" || is_entry {
            return true;
        }
        previous = line;
    }
    false
}

#[test]
fn every_test_named_exists() {
    let document = text("docs/design/requirements.md");
    let mut named = 0;
    for (id, cells) in rows(&document) {
        let tests = tests(&cells);
        assert!(!tests.is_empty(), "{id} names no test");
        for path in tests {
            let (file, name) = file(path);
            assert!(
                has_test(&text(&file), name),
                "{id}: no test {name} in {file}"
            );
            named += 1;
        }
    }
    assert!(
        named > 150,
        "only {named} found: has the table changed its form?"
    );
}

/// Each rule of the device is based on a section of the TRM, a driver, or a defect
/// of another project.
#[test]
fn every_rule_has_its_source() {
    for (id, cells) in rows(&text("docs/design/requirements.md")) {
        if id.starts_with('D') {
            let source = cells.split(" | ").nth(1).unwrap_or_default();
            let named = source.chars().any(char::is_alphanumeric) && !source.contains("::");
            assert!(named, "{id} has no source: {cells}");
        }
    }
}

#[test]
fn every_rule_has_its_row() {
    let document = text("docs/design/requirements.md");
    let ids: BTreeSet<_> = rows(&document).into_iter().map(|(id, _)| id).collect();
    for (series, last) in [
        ("D", 15),
        ("V", 17),
        ("C", 24),
        ("R", 29),
        ("B", 9),
        ("S", 4),
    ] {
        for number in 1..=last {
            assert!(
                ids.contains(&format!("{series}{number}")),
                "no row {series}{number}"
            );
        }
    }
}

/// All of the device's own tests are in the table.
#[test]
fn every_test_of_a_rule_is_named() {
    let document = text("docs/design/requirements.md");
    let exempt = ["the_fake_is_one_memory", "each_error_has_its_message"];
    let suites = [
        ("model", "beside liveness trap properties profile"),
        (
            "ring",
            "layout transfer doorbells snapshot versions interrupted threads hostile",
        ),
    ];
    for (folder, files) in suites {
        for file in files.split(' ') {
            let source = text(&format!("tests/{folder}/{file}.rs"));
            let mut previous = "";
            for line in source.lines().map(str::trim) {
                if previous == "#[test]" {
                    let name = line
                        .trim_start_matches("fn ")
                        .split('(')
                        .next()
                        .unwrap_or_default();
                    let path = format!("`{}::{file}::{name}`", folder.replace('/', "::"));
                    let named = document.contains(&path) || exempt.contains(&name);
                    assert!(named, "docs/design/requirements.md does not name {path}");
                }
                previous = line;
            }
        }
    }
}

/// All cases of the conformance suite are in the table.
#[test]
fn every_case_is_named() {
    let document = text("docs/design/requirements.md");
    for case in conformance::all() {
        let path = format!("`conformance::{}::{}`", case.group, case.name);
        assert!(
            document.contains(&path),
            "docs/design/requirements.md does not name {path}"
        );
    }
}
