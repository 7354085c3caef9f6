// SPDX-License-Identifier: MIT
//! No circle among the modules of any crate: in each folder, the uses among its
//! modules, including all modules below them, form no circle. Seen from outside, a
//! folder's own file (`mod.rs`, `lib.rs`, `main.rs`) and all modules below it are
//! one module. Tests inside modules may use anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::{files, text};

/// A module by its path from the crate's root; the root's path is empty.
type Name = Vec<String>;

#[derive(Default)]
struct Krate {
    modules: BTreeMap<Name, Vec<TokenTree>>,
    /// Names that a module re-exports from another.
    exports: BTreeMap<(Name, String), Name>,
    uses: BTreeSet<(Name, Name)>,
}

impl Krate {
    /// The crate whose sources are below `src`.
    fn read(src: &str, files: &[String]) -> Self {
        let mut sources = BTreeMap::new();
        for file in files {
            let path = file.strip_prefix(src);
            let Some(path) = path.and_then(|path| path.strip_suffix(".rs")) else {
                continue;
            };
            let mut name: Name = path.split('/').map(str::to_owned).collect();
            if name.last().is_some_and(|last| last == "mod") || ["lib", "main"].contains(&path) {
                name.pop();
            }
            sources
                .entry(name)
                .or_insert_with(String::new)
                .push_str(&text(file));
        }
        Self::new(&sources)
    }

    fn new(sources: &BTreeMap<Name, String>) -> Self {
        let mut krate = Self::default();
        let mut of_tests = BTreeSet::new();
        for (name, source) in sources {
            let stream: TokenStream = source.parse().expect("Rust source");
            let mut dropped = Vec::new();
            let tokens = without_tests(stream, &mut dropped);
            of_tests.extend(dropped.into_iter().map(|child| below(name, &child)));
            krate.modules.insert(name.clone(), tokens);
        }
        let is_of_test = |name: &Name| of_tests.iter().any(|test| name.starts_with(test));
        krate.modules.retain(|name, _| !is_of_test(name));
        // A re-exported name may itself be a re-export.
        for _ in 0..2 {
            for (name, tokens) in krate.modules.clone() {
                krate.look(&name, &tokens);
            }
        }
        krate.uses.clear();
        for (name, tokens) in krate.modules.clone() {
            krate.look(&name, &tokens);
        }
        krate
    }

    /// Records the uses and re-exports of some code in a module.
    fn look(&mut self, here: &Name, tokens: &[TokenTree]) {
        let mut passes_on = false;
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    let inline = group.delimiter() == Delimiter::Brace
                        && at > 1
                        && is_word(&tokens[at - 2], "mod");
                    if inline {
                        self.look(&below(here, &tokens[at - 1].to_string()), &inner);
                    } else if !is_path_end(tokens, at) {
                        self.look(here, &inner);
                    }
                }
                TokenTree::Ident(ident) if !is_path_end(tokens, at) => {
                    let word = ident.to_string();
                    match word.as_str() {
                        "pub" => passes_on = true,
                        "use" => {}
                        "crate" | "self" | "super" => {
                            self.path(here, here, &tokens[at..], passes_on);
                        }
                        _ if self.modules.contains_key(&below(here, &word)) => {
                            self.path(here, here, &tokens[at..], passes_on);
                        }
                        _ => {}
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => passes_on = false,
                _ => {}
            }
        }
    }

    /// Follows one path, or several in braces, from a module on.
    fn path(&mut self, here: &Name, from: &Name, tokens: &[TokenTree], passes_on: bool) {
        let mut at = from.clone();
        let mut rest = tokens;
        let mut last = None;
        while let Some((token, after)) = rest.split_first() {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<_> = group.stream().into_iter().collect();
                    for part in inner.split(|token| is_punct(token, ',')) {
                        self.path(here, &at, part, passes_on);
                    }
                    return;
                }
                TokenTree::Ident(ident) => match ident.to_string().as_str() {
                    "crate" => at.clear(),
                    "self" => {}
                    "super" => drop(at.pop()),
                    word => {
                        let module = below(&at, word);
                        let export = self.exports.get(&(at.clone(), word.to_owned()));
                        if self.modules.contains_key(&module) {
                            at = module;
                        } else if let Some(export) = export {
                            at.clone_from(export);
                        }
                        last = Some(word.to_owned());
                    }
                },
                _ => break,
            }
            let colons = after.iter().take(2).all(|token| is_punct(token, ':'));
            if !colons || after.len() < 3 {
                if let [as_word, name, ..] = after
                    && is_word(as_word, "as")
                {
                    last = Some(name.to_string());
                }
                break;
            }
            rest = &after[2..];
        }
        // A module that is not a file is part of the file's module.
        while !self.modules.contains_key(&at) && at.pop().is_some() {}
        if let (true, Some(name)) = (passes_on, last)
            && at != *here
        {
            self.exports.insert((here.clone(), name), at.clone());
        }
        let mut file = here.clone();
        while !self.modules.contains_key(&file) && file.pop().is_some() {}
        if at != file {
            self.uses.insert((file, at));
        }
    }

    /// The circles, by folder.
    fn circles(&self) -> BTreeSet<(String, Vec<String>)> {
        let mut folders: BTreeMap<Name, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (from, to) in &self.uses {
            let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
            let (Some(user), Some(other)) = (from.get(common), to.get(common)) else {
                continue;
            };
            let folder = folders.entry(from[..common].to_vec()).or_default();
            folder
                .entry(user.clone())
                .or_default()
                .insert(other.clone());
        }
        let mut circles = BTreeSet::new();
        for (folder, uses) in folders {
            for start in uses.keys() {
                let to = reached(&uses, start);
                let circle: Vec<String> = to
                    .iter()
                    .filter(|other| reached(&uses, other).contains(start))
                    .cloned()
                    .collect();
                if circle.len() > 1 {
                    circles.insert((folder.join("/"), circle));
                }
            }
        }
        circles
    }
}

fn is_punct(token: &TokenTree, char: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == char)
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn below(name: &Name, child: &str) -> Name {
    let mut name = name.clone();
    name.push(child.to_owned());
    name
}

/// Whether a token continues a path that began before it.
fn is_path_end(tokens: &[TokenTree], at: usize) -> bool {
    at > 1
        && tokens[at - 2..at]
            .iter()
            .all(|token| token.to_string() == ":")
}

/// All modules that can be reached over any number of uses.
fn reached(uses: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![start];
    while let Some(name) = next.pop() {
        for to in uses.get(name).into_iter().flatten() {
            if reached.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    reached
}

/// The tokens without items under `#[cfg(test)]`; modules among these that are
/// files are added to `dropped`.
fn without_tests(stream: TokenStream, dropped: &mut Vec<String>) -> Vec<TokenTree> {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_test = is_punct(&tokens[at], '#')
            && tokens
                .get(at + 1)
                .is_some_and(|group| group.to_string().replace(' ', "") == "[cfg(test)]");
        if !is_test {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += 2;
        while at < tokens.len() {
            let ends = match &tokens[at] {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                TokenTree::Punct(punct) => punct.as_char() == ';',
                TokenTree::Ident(ident) => {
                    if *ident == "mod" {
                        dropped.push(tokens[at + 1].to_string());
                    }
                    false
                }
                TokenTree::Literal(_) => false,
            };
            at += 1;
            if ends {
                break;
            }
        }
    }
    kept
}

#[test]
fn no_crate_has_a_circle_among_its_modules() {
    let files = files();
    let mut found = BTreeSet::new();
    let mut crates = 0;
    for manifest in files.iter().filter(|file| file.ends_with("Cargo.toml")) {
        let folder = Path::new(manifest).parent().expect("a folder");
        let name = folder.to_string_lossy().into_owned();
        let krate = Krate::read(&folder.join("src/").to_string_lossy(), &files);
        crates += usize::from(!krate.modules.is_empty());
        found.extend(
            krate
                .circles()
                .into_iter()
                .map(|(folder, circle)| (name.clone(), folder, circle)),
        );
    }
    assert!(crates > 10, "only {crates} crates have modules");
    assert!(found.is_empty(), "circles among modules: {found:?}");
}

/// The circles of a crate given as modules and their sources.
fn circles(sources: &[(&str, &str)]) -> Vec<String> {
    let name = |path: &str| path.split_terminator('/').map(str::to_owned).collect();
    let sources = sources
        .iter()
        .map(|(path, source)| (name(path), (*source).to_owned()));
    let found = Krate::new(&sources.collect()).circles();
    found
        .into_iter()
        .map(|(folder, circle)| format!("{folder}: {}", circle.join(" ")))
        .collect()
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let one_way = [("", "mod a; mod b;"), ("a", "use crate::b::X;"), ("b", "")];
    assert_eq!(circles(&one_way), [""; 0]);
    for back in [
        "use crate::a::Y;",
        "use super::a;",
        "use super::{a::Y, a};",
        "use crate::{a::{self, Y}};",
        "fn f() { crate::a::g() }",
        "fn f() { println!(\"{}\", super::a::G) }",
        "mod inner { fn f() { super::super::a::g() } }",
    ] {
        let circle = [one_way[0], one_way[1], ("b", back)];
        assert_eq!(circles(&circle), [": a b"], "{back}");
    }
}

#[test]
fn a_circle_over_folders_and_names_passed_on_is_found() {
    let folders = [
        ("", "mod a; mod b;"),
        ("a", "mod x; mod y; pub(crate) use y::Y;"),
        ("a/x", "use crate::b::B;"),
        ("a/y", ""),
        ("b", "use crate::a::Y;"),
    ];
    assert_eq!(circles(&folders), [": a b"]);
    let passed_on = [
        ("", "mod a;"),
        ("a", "mod x; mod y; pub use y::Y;"),
        ("a/x", "use super::Y;"),
        ("a/y", "use super::x::X;"),
    ];
    assert_eq!(circles(&passed_on), ["a: x y"]);
}

#[test]
fn tests_may_use_anything() {
    let tests = [
        ("", "mod a; mod b;"),
        ("a", "use crate::b;"),
        ("b", "#[cfg(test)] mod tests { use crate::a; }"),
    ];
    assert_eq!(circles(&tests), [""; 0]);
    let file = [
        ("", "mod a; mod b;"),
        ("a", "use crate::b;"),
        ("b", "#[cfg(test)] mod tests;"),
        ("b/tests", "use crate::a;"),
    ];
    assert_eq!(circles(&file), [""; 0]);
}
