// SPDX-License-Identifier: MIT
//! The documents with tests as evidence name only tests that exist, and every row
//! of their tables names at least one.

use std::fs;
use std::path::Path;

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The file of a test, and the text that proves its existence there.
fn place(path: &str) -> (String, String) {
    let parts: Vec<&str> = path.split("::").collect();
    match parts[..] {
        ["e2e", name] => (
            "tests/e2e/src/scenarios/mod.rs".to_owned(),
            format!("name: \"{name}\""),
        ),
        ["client", name] => (
            "tools/vconsole/tests/client.rs".to_owned(),
            format!("fn {name}("),
        ),
        ["text_filter", name] => (
            "tools/text-filter/tests/filter.rs".to_owned(),
            format!("fn {name}("),
        ),
        // It cannot run everywhere.
        ["viewers", "ssh", name] => (
            "tests/viewers/tests/ssh.rs".to_owned(),
            format!("\"{name}\""),
        ),
        ["viewers", target, name] => (
            target_file("tests/viewers/tests", target, name),
            format!("fn {name}("),
        ),
        // They cannot run everywhere.
        ["web", target @ ("browser" | "crowd" | "nginx"), name] => (
            format!("tools/vconsole-web/tests/{target}/main.rs"),
            format!("\"{name}\""),
        ),
        ["web", module, name] => (
            format!("tools/vconsole-web/tests/web/{module}.rs"),
            format!("fn {name}("),
        ),
        // Unit tests of the tools.
        [
            part @ ("vconsole" | "vconsoled" | "vconsole_web" | "console_proto"),
            ref modules @ ..,
            name,
        ] => (
            module_file(&part.replace('_', "-"), &modules.join("/")),
            format!("fn {name}("),
        ),
        ["descriptors", name] => (
            "tools/vconsoled/tests/descriptors.rs".to_owned(),
            format!("fn {name}("),
        ),
        ["package", name] => (
            "tools/vconsoled/tests/package.rs".to_owned(),
            format!("fn {name}("),
        ),
        ["scale", name] => (
            "tools/vconsoled/tests/scale/main.rs".to_owned(),
            format!("\"{name}\""),
        ),
        ["process", module, name] => (
            "tools/vconsoled/tests/process/main.rs".to_owned(),
            format!("{module}::{name},"),
        ),
        ["glue", name] => ("hyp-shim/tests/glue.rs".to_owned(), format!("    {name}\n")),
        ["model" | "ring", module, name] => (
            format!("tests/{}/{module}.rs", parts[0]),
            format!("fn {name}("),
        ),
        ["daemon", module, name] => (
            format!("tools/vconsoled/tests/daemon/{module}.rs"),
            format!("fn {name}("),
        ),
        _ => panic!("{path} is in no suite"),
    }
}

/// The file of a target's test: the target is a file, or a folder of modules.
fn target_file(tests: &str, target: &str, name: &str) -> String {
    let file = format!("{tests}/{target}.rs");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(folder) = fs::read_dir(root.join(tests).join(target)) else {
        return file;
    };
    let modules = folder.map(|entry| entry.expect("a file of a test").file_name());
    let mut files = modules.map(|module| format!("{tests}/{target}/{}", module.display()));
    let mark = format!("fn {name}(");
    files
        .find(|file| text(file).contains(&mark))
        .unwrap_or(file)
}

/// The file of a module of one of the tools.
fn module_file(tool: &str, module: &str) -> String {
    let file = format!("tools/{tool}/src/{module}.rs");
    if Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).is_file() {
        file
    } else {
        format!("tools/{tool}/src/{module}/mod.rs")
    }
}

/// Whether a text has a mark; a function only counts if it is a test.
fn has(text: &str, mark: &str) -> bool {
    let lines = || text.lines().map(str::trim);
    if mark.starts_with("fn ") {
        let mut pairs = lines().zip(lines().skip(1));
        pairs.any(|(before, line)| before == "#[test]" && line.starts_with(mark))
    } else {
        text.contains(mark)
    }
}

/// Checks the tables of a document.
fn check(document: &str, at_least: usize) {
    let text_of_it = text(document);
    let rows = text_of_it
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter(|line| !line.contains("| shown by |"));
    let mut named = 0;
    for row in rows {
        let tests: Vec<&str> = row.split('`').filter(|code| code.contains("::")).collect();
        assert!(!tests.is_empty(), "{document}: no test in: {row}");
        for test in tests {
            let (file, mark) = place(test);
            assert!(has(&text(&file), &mark), "{document}: no {test} in {file}");
            named += 1;
        }
    }
    assert!(
        named >= at_least,
        "{document}: only {named} tests: has a table changed its form?"
    );
}

#[test]
fn the_tests_of_the_backend_page_exist() {
    check("docs/evidence/backend.md", 120);
}

#[test]
fn the_tests_of_the_threat_model_exist() {
    check("docs/design/threat-model.md", 40);
}
