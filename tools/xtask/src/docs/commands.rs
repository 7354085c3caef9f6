// SPDX-License-Identifier: MIT
//! Checks that every cargo command in a page exists as written, and is part of
//! `cargo xtask test` or in docs/evidence/testing.md's list of those that are not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::MetadataCommand;
use clap::CommandFactory as _;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::debian::host::rust_targets;
use crate::run::e2e::Chosen;

/// The commands of `cargo xtask test`, whole or in part: words after `cargo xtask`.
const IN_TEST: [&str; 15] = [
    "test",
    "e2e",
    "demo",
    "conformance",
    "package",
    "programs",
    "fuzz",
    "bench core",
    "misra",
    "xen build",
    "xen apply",
    "xen check-off",
    "xen check-traps",
    "xen export-patches",
    "libvirt export-patches",
];

/// Placeholders, and an example of each.
const STAND_FOR: [(&str, &str); 13] = [
    ("K/N", "1/8"),
    ("N", "1"),
    ("FILE", "a.file"),
    ("DIR", "a/folder"),
    ("PATCHES", "a/folder"),
    ("NAME", "boot"),
    ("TARGET", "mmio"),
    ("SCENARIO", "destroy"),
    ("SET", "sysroot"),
    ("RELEASE", "trixie"),
    ("MIB", "64"),
    ("LINE", "acpi=1"),
    ("RATE", "960"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages, by path from the root.
fn pages() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--", "*.md"])
        .current_dir(root())
        .output()
        .expect("git lists what is committed");
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let is_there = |name: &&str| root().join(name).is_file();
    let names = names.split_terminator('\0').filter(is_there);
    names.map(str::to_owned).collect()
}

/// The pieces of code in a page: a span, or a line of a block.
fn code(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    let options = pulldown_cmark::Options::ENABLE_TABLES;
    for event in Parser::new_ext(page, options) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_block = true,
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Code(span) => found.push(span.into_string()),
            Event::Text(text) if in_block => found.extend(text.lines().map(str::to_owned)),
            _ => {}
        }
    }
    found
}

/// The cargo commands in a piece of code, as words. An optional part of a usage text is
/// included, once.
fn commands(code: &str) -> Vec<Vec<String>> {
    let code = code.split(" #").next().unwrap_or_default();
    code.split("&&")
        .map(|command| {
            let words = command.split_whitespace().map(|word| {
                let word = word.replace(['[', ']'], "");
                let word = word.trim_end_matches("...").to_owned();
                let mut words = STAND_FOR.iter();
                match words.find(|(stands, _)| *stands == word) {
                    Some((_, something)) => (*something).to_owned(),
                    None => word,
                }
            });
            words.collect::<Vec<_>>()
        })
        .filter(|words| words.len() > 1 && words[0] == "cargo")
        .collect()
}

/// The packages of the workspace, and the targets of each by kind and name.
fn packages() -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut metadata = MetadataCommand::new();
    metadata.manifest_path(root().join("Cargo.toml")).no_deps();
    let packages = metadata.exec().expect("cargo's metadata").packages;
    let packages = packages.into_iter().map(|package| {
        let targets = package.targets.into_iter();
        let targets = targets.map(|target| (target.kind[0].to_string(), target.name));
        (package.name.to_string(), targets.collect())
    });
    packages.collect()
}

/// Why a `cargo xtask` command is invalid, if it is.
fn wrong_with_xtask(words: &[String]) -> Option<String> {
    let line = std::iter::once("xtask").chain(words.iter().map(String::as_str));
    let matches = match crate::Options::command().try_get_matches_from(line) {
        Ok(matches) => matches,
        Err(error) => return Some(error.to_string()),
    };
    // Names that are checked only when the command runs.
    let (command, options) = matches.subcommand()?;
    let names = |id| -> Vec<String> {
        let given = options.get_many::<String>(id).into_iter().flatten();
        given.cloned().collect()
    };
    match command {
        "e2e" => Chosen::named(&names("scenarios")).err(),
        "soak" => Chosen::long(&names("scenarios")).err(),
        "bench" if options.subcommand().is_none() => {
            let unknown = names("names").into_iter().find(|name| {
                let mut known = e2e::figures().iter();
                !known.any(|measurement| measurement.name == name)
            });
            unknown.map(|name| anyhow::anyhow!("no measurement {name}"))
        }
        _ => None,
    }
    .map(|error| error.to_string())
}

/// Why a cargo command is invalid, as far as it uses this repository's names.
fn wrong_with_cargo(words: &[String]) -> Option<String> {
    let packages = packages();
    let mut package = "vpl011";
    let mut words = words.iter().skip(1).map(String::as_str);
    let mut filter = None;
    let mut target = None;
    while let Some(word) = words.next() {
        match word {
            "-p" | "--package" => {
                package = words.next()?;
                if !packages.contains_key(package) {
                    return Some(format!("no package {package}"));
                }
            }
            "--test" | "--example" => {
                let name = words.next()?;
                let named = (word.trim_start_matches('-').to_owned(), name.to_owned());
                if !packages[package].contains(&named) {
                    return Some(format!("{package} has no {} {name}", named.0));
                }
                target = Some(name);
            }
            "--target" => {
                let triple = words.next()?;
                if !rust_targets().iter().any(|target| target == triple) {
                    return Some(format!("{triple} is not a target of ours"));
                }
            }
            "--profile" => {
                let profile = words.next()?;
                let manifest = fs::read_to_string(root().join("Cargo.toml")).ok()?;
                if !manifest.contains(&format!("[profile.{profile}]")) {
                    return Some(format!("no profile {profile}"));
                }
            }
            "--features" => {
                let feature = words.next()?;
                let manifest = fs::read_to_string(root().join("Cargo.toml")).ok()?;
                if !manifest.contains(&format!("\n{feature} = [")) {
                    return Some(format!("no feature {feature}"));
                }
            }
            "--workspace" | "--no-deps" | "--doc" | "--dry-run" | "--all" | "--check"
            | "--release" => {}
            word if word.starts_with('-') => return Some(format!("{word} is no command")),
            word => filter = Some(word),
        }
    }
    let (Some(filter), Some(target)) = (filter, target) else {
        return filter.map(|filter| format!("{filter} is no filter"));
    };
    let module = root().join(format!("tests/{target}/{filter}.rs"));
    (!module.exists()).then(|| format!("{target} has no module {filter}"))
}

/// The xtask commands that docs/evidence/testing.md lists as not run each time.
fn by_hand() -> Vec<Vec<String>> {
    let page =
        fs::read_to_string(root().join("docs/evidence/testing.md")).expect("the page exists");
    let (_, list) = page
        .split_once("\n## By hand\n")
        .expect("the list has its heading");
    let list = list.split("\n## ").next().unwrap_or_default();
    let rows = list.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let listed: Vec<_> = cells
        .flat_map(code)
        .flat_map(|code| commands(&code))
        .collect();
    assert!(
        listed.len() > 8,
        "only {listed:?}: the list may have another form"
    );
    listed
        .into_iter()
        .map(|words| up_to_options(&words[2..]))
        .collect()
}

/// A command's words, without options that only change how it runs; `--interactive`,
/// `--docs` and `--stack` make it another command.
fn up_to_options(words: &[String]) -> Vec<String> {
    let what = |word: &&String| {
        !word.starts_with('-') || ["--interactive", "--docs", "--stack"].contains(&word.as_str())
    };
    let words = words.iter().enumerate();
    let words = words.take_while(|(at, word)| *at == 0 || what(word));
    words.map(|(_, word)| word.clone()).collect()
}

#[test]
fn every_command_quoted_is_one() {
    let by_hand = by_hand();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).expect("a page is text");
        let found = code(&text);
        for words in found.iter().flat_map(|code| commands(code)) {
            seen += 1;
            let quoted = words.join(" ");
            let fault = match &words[1][..] {
                "xtask" if words.len() == 2 => continue,
                "xtask" => {
                    let words = &words[2..];
                    let is_listed = by_hand.iter().any(|listed| words.starts_with(listed));
                    let quoted = words.join(" ");
                    let is_in_test = IN_TEST
                        .iter()
                        .any(|part| quoted == *part || quoted.starts_with(&format!("{part} ")));
                    wrong_with_xtask(words).or_else(|| {
                        let unknown = !is_listed && !is_in_test;
                        unknown.then(|| "neither in `cargo xtask test` nor by hand".to_owned())
                    })
                }
                // The first ones are part of `cargo test --workspace`.
                "test" | "build" | "run" | "doc" | "publish" => wrong_with_cargo(&words[1..]),
                // Third-party crates.
                "add" | "install" => None,
                _ => Some("not a known command".to_owned()),
            };
            if let Some(fault) = fault {
                wrong.push(format!("{page}: `{quoted}`: {fault}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "only {seen}: the pages may have another form");
}

/// Each command is in a page.
#[test]
fn every_command_is_quoted() {
    let mut quoted = BTreeSet::new();
    for page in pages() {
        let text = fs::read_to_string(root().join(page)).expect("a page is text");
        for words in code(&text).iter().flat_map(|code| commands(code)) {
            if words.len() > 2 && words[1] == "xtask" {
                quoted.insert(words[2].clone());
            }
        }
    }
    for command in crate::Options::command().get_subcommands() {
        let name = command.get_name();
        assert!(quoted.contains(name), "no page has `cargo xtask {name}`");
    }
}

#[test]
fn usage_texts_and_comments_are_read_as_commands() {
    let words = |line: &str| {
        commands(line)
            .iter()
            .map(|w| w.join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words("cargo xtask fuzz [--seconds N] [TARGET]..."),
        ["cargo xtask fuzz --seconds 1 mmio"]
    );
    assert_eq!(
        words("cargo xtask programs && cargo test -p viewers  # both"),
        ["cargo xtask programs", "cargo test -p viewers"]
    );
    assert!(words("cd somewhere").is_empty());
}

#[test]
fn what_is_not_a_command_is_refused() {
    let wrong = |line: &str| {
        let words = commands(line).remove(0);
        match &words[1][..] {
            "xtask" => wrong_with_xtask(&words[2..]),
            _ => wrong_with_cargo(&words[1..]),
        }
    };
    for right in [
        "cargo xtask e2e boot transfer",
        "cargo test -p vpl011 --test ring exhaustive",
        "cargo run -p vpl011 --example toy_vmm",
        "cargo run -p vpl011 --example rust_vmm --features vm-device",
    ] {
        assert_eq!(wrong(right), None, "{right}");
    }
    for line in [
        "cargo xtask e2e no-such-scenario",
        "cargo xtask e2e boot --no-such-option",
        "cargo xtask soak boot",
        "cargo xtask bench no-such-measurement",
        "cargo test -p no-such-crate",
        "cargo test -p vpl011 --test no-such-test",
        "cargo test -p vpl011 --test ring no-such-module",
        "cargo build --profile no-such-profile",
        "cargo run --example rust_vmm --features no-such-feature",
    ] {
        assert!(wrong(line).is_some(), "{line}");
    }
}
