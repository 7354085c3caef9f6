// SPDX-License-Identifier: MIT
//! The files that may contain `unsafe`, and the licence line of every file.

use std::collections::BTreeMap;
use std::path::Path;

use proc_macro2::{Ident, TokenTree};

use crate::{files, text, tokens};

fn extension(name: &str) -> &str {
    Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
}

fn ident(token: &TokenTree) -> Option<&Ident> {
    if let TokenTree::Ident(ident) = token {
        Some(ident)
    } else {
        None
    }
}

#[test]
fn unsafe_stands_in_its_places_only() {
    let places = ["hyp-shim/", "tools/xen-io/"];
    for name in files() {
        if extension(&name) != "rs" || places.iter().any(|place| name.starts_with(place)) {
            continue;
        }
        let flat = tokens(&text(&name));
        if let Some(token) = flat
            .iter()
            .filter_map(ident)
            .find(|ident| *ident == "unsafe")
        {
            panic!("{name}:{}: unsafe", token.span().start().line);
        }
    }
}

/// docs/design/unsafe.md lists each file with unsafe code, and how often the word
/// occurs: every addition or removal must be reviewed there.
#[test]
fn every_unsafe_is_reviewed() {
    let mut there = BTreeMap::new();
    for name in files().into_iter().filter(|name| extension(name) == "rs") {
        let flat = tokens(&text(&name));
        let idents = flat.iter().filter_map(ident);
        let count = idents.filter(|ident| *ident == "unsafe").count();
        if count > 0 {
            there.insert(name, count);
        }
    }
    let reviewed: BTreeMap<String, usize> = text("docs/design/unsafe.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .filter_map(|(name, rest)| Some((name, rest.split(" |").next()?.parse().ok()?)))
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    assert_eq!(
        there, reviewed,
        "what there is, and what docs/design/unsafe.md has"
    );
}

/// A crate without unsafe code forbids it, so that the compiler checks it.
#[test]
fn crates_without_unsafe_forbid_it() {
    let crate_roots = ["src/lib.rs", "src/main.rs"];
    let places = ["hyp-shim/", "tools/xen-io/"];
    for name in files() {
        let is_root = crate_roots.iter().any(|root| {
            name.strip_suffix(root)
                .is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
        });
        if is_root && !places.iter().any(|place| name.starts_with(place)) {
            assert!(text(&name).contains("#![forbid(unsafe_code)]"), "{name}");
        }
    }
}

#[test]
fn every_source_file_names_its_licence() {
    for name in files() {
        let expected = match extension(&name) {
            "rs" => "SPDX-License-Identifier: MIT",
            "c" | "h" | "S" | "toml" | "sh" | "lds" => "SPDX-License-Identifier: ",
            _ => continue,
        };
        let head: Vec<_> = text(&name).lines().take(2).map(str::to_owned).collect();
        assert!(
            head.iter().any(|line| line.contains(expected)),
            "{name}: no `{expected}`"
        );
    }
}
