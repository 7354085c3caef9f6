// SPDX-License-Identifier: MIT
//! `vconsole audit` on valid chains, and on changed ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use console_proto::audit::Chain;
use serde_json::json;

/// A chain of that many lines, and the hash of the last.
fn chain(lines: u64) -> (Vec<String>, String) {
    let mut chain = Chain::default();
    let lines = (1..=lines).map(|line| {
        let time = format!("2026-11-29T17:03:0{line}.000Z");
        let says = json!({"time": time, "event": "attached", "uid": 1000});
        let (line, next) = chain.seal(&says).unwrap();
        chain = next;
        line
    });
    let lines = lines.collect();
    (lines, chain.hash)
}

fn run(files: &[PathBuf], contains: Option<&str>) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vconsole"));
    command.arg("audit").args(files);
    if let Some(hash) = contains {
        command.args(["--contains", hash]);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn file(dir: &Path, name: &str, lines: &[String]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, lines.concat()).unwrap();
    path
}

#[test]
fn valid_and_broken_chains_are_distinguished() {
    let dir = tempfile::tempdir().unwrap();
    let (lines, last) = chain(5);
    let (holds, said) = run(&[file(dir.path(), "whole", &lines)], None);
    let expected = format!(
        "the chain holds: 5 lines, from 2026-11-29T17:03:01.000Z to 2026-11-29T17:03:05.000Z\n\
         the last one: number 5, hash {last}\n"
    );
    assert_eq!((holds, said), (true, expected));

    let edited: Vec<_> = lines
        .iter()
        .map(|one| one.replace("03:03", "03:04"))
        .collect();
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    let removed = [&lines[..1], &lines[2..]].concat();
    let appended = [&lines[..], &["{\"event\":\"attached\"}\n".to_owned()]].concat();
    for (name, lines, breaks) in [
        ("edited", edited, "line 3 is not what was written there"),
        (
            "swapped",
            swapped,
            "line 2 does not follow the one before it",
        ),
        (
            "removed",
            removed,
            "line 2 does not follow the one before it",
        ),
        ("appended", appended, "line 6 is not what was written there"),
    ] {
        let path = file(dir.path(), name, &lines);
        let (holds, said) = run(std::slice::from_ref(&path), None);
        let expected = format!(
            "vconsole: {}: the chain is broken: {breaks}",
            path.display()
        );
        assert!(!holds && said.starts_with(&expected), "{name}: {said}");
    }
}

#[test]
fn files_of_one_chain_are_checked_together_and_a_hash_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (lines, last) = chain(5);
    let (old, new) = lines.split_at(3);
    let (old, new) = (file(dir.path(), "1", old), file(dir.path(), "0", new));
    assert!(run(&[old.clone(), new.clone()], Some(&last)).0);
    let (holds, said) = run(&[new, old.clone()], None);
    assert!(!holds && said.contains("line 1 does not follow"), "{said}");
    let (holds, said) = run(&[old], Some(&last));
    assert!(!holds && said.contains("no line has that hash"), "{said}");
    let (holds, said) = run(&[dir.path().join("none")], None);
    assert!(!holds && said.contains("none: No such file"), "{said}");
}

#[test]
fn what_a_kill_left_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (mut lines, _) = chain(2);
    lines[1].truncate(20);
    let (holds, said) = run(&[file(dir.path(), "cut", &lines)], None);
    let expected = "after it: a partial line, as a killed daemon leaves it\n";
    assert!(holds && said.ends_with(expected), "{said}");
}
