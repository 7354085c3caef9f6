// SPDX-License-Identifier: MIT
//! The conditions of C's preprocessor around a place in a file: lines inserted below a
//! false condition would be left out of the build unnoticed.

use std::path::Path;

/// Whether a file is preprocessed, by its name.
pub(super) fn has_preprocessor(file: &Path) -> bool {
    let end = file.extension().unwrap_or_default();
    ["c", "h", "S"].iter().any(|known| end == *known)
}

/// The conditions that are open at the end of a text, from the outermost, as written in
/// their lines. An `#else` follows the lines of its condition. A header's include guard
/// does not count.
pub(super) fn at_end(text: &str) -> Vec<String> {
    let mut open: Vec<Condition> = Vec::new();
    let mut guard = None;
    for line in text.lines() {
        let Some(directive) = line.trim_start().strip_prefix('#') else {
            continue;
        };
        let mut words = directive.split_whitespace();
        let word = words.next().unwrap_or_default();
        let name = words.next();
        match word {
            "if" | "ifdef" | "ifndef" => open.push(Condition {
                line: plain(directive),
                is_guard: false,
            }),
            "else" | "elif" => {
                if let Some(last) = open.last_mut() {
                    last.line += " ";
                    last.line += &plain(directive);
                }
            }
            "endif" => {
                open.pop();
            }
            "define" if name.is_some() && name == guard => {
                if let Some(last) = open.last_mut() {
                    last.is_guard = true;
                }
            }
            _ => (),
        }
        guard = name.filter(|_| word == "ifndef");
    }
    open.retain(|condition| !condition.is_guard);
    open.into_iter().map(|condition| condition.line).collect()
}

/// An open condition.
struct Condition {
    line: String,
    is_guard: bool,
}

/// A directive without its comment, with single spaces.
fn plain(directive: &str) -> String {
    let code = directive.split("/*").next().unwrap_or_default();
    let words: Vec<&str> = code.split_whitespace().collect();
    format!("#{}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_conditions_are_listed() {
        for (text, open) in [
            ("int a;\n", &[][..]),
            ("#ifdef A\nint a;\n", &["#ifdef A"]),
            ("#ifdef A\n#endif\n", &[]),
            ("# if  A  /* why */\n", &["#if A"]),
            ("#ifdef A\n#else /* !A */\n", &["#ifdef A #else"]),
            ("#if A\n#elif B\n", &["#if A #elif B"]),
            ("#if A\n#ifndef B\n#define C\n", &["#if A", "#ifndef B"]),
            ("#if A\n#if B\n#endif\n", &["#if A"]),
            // An include guard and its contents.
            ("#ifndef H\n#define H\n#ifdef A\n", &["#ifdef A"]),
            ("#ifndef H\n#define H\n#endif\n#ifdef A\n", &["#ifdef A"]),
            // More closed than opened, which no compiler accepts.
            ("#endif\n#else\n#ifdef A\n", &["#ifdef A"]),
        ] {
            assert_eq!(at_end(text), open, "{text}");
        }
    }

    #[test]
    fn sources_and_headers_of_c_and_assembly_are_preprocessed() {
        for name in ["xen/a.c", "a.h", "arch/arm/entry.S"] {
            assert!(has_preprocessor(Path::new(name)), "{name}");
        }
        for name in ["Kconfig", "Makefile", "booting.txt", "types.idl"] {
            assert!(!has_preprocessor(Path::new(name)), "{name}");
        }
    }
}
