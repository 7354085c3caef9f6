// SPDX-License-Identifier: MIT
//! No text of the repository has phrases that a reader has to guess at.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Phrases, and what to write in their place.
const PHRASES: [(&str, &str); 25] = [
    ("says what it is at", "prints each step"),
    ("what it is at", "what it does"),
    ("everything that must hold", "all tests, all checks"),
    ("that can be asked of each", "that each target can run"),
    ("says what a machine lacks", "checks prerequisites"),
    ("what this machine lacks", "prerequisites"),
    ("wants a reboot", "requires a reboot"),
    ("as ever", "leave it out, or: as before"),
    ("nothing leads back to root", "with no way to regain root"),
    ("output that nobody sees", "unread output"),
    ("the newest at that", "the newest 64 KiB"),
    ("| it has not |", "no PL011"),
    ("wants a person", "interactive"),
    ("says nothing of this project", "checks the machine"),
    ("for who does not", "for those who do not"),
    ("who cannot tell it", "say who, and what they cannot tell"),
    ("to be had", "available"),
    ("knows nothing of", "does not support"),
    ("know nothing of", "do not support"),
    ("means harm", "is hostile"),
    ("mean harm", "are hostile"),
    ("makes no sense", "is invalid"),
    ("make no sense", "are invalid"),
    ("made no sense", "was invalid"),
    ("nobody knows", "is unknown"),
];

/// A text in lower case on one line, without comment marks.
fn flat(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        line.trim_start_matches(['/', '!', '#', '*'])
    });
    let words = lines.flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether a flat text has a phrase, as whole words.
fn has(flat: &str, phrase: &str) -> bool {
    flat.match_indices(phrase).any(|(at, _)| {
        let before = flat[..at].chars().next_back();
        let after = flat[at + phrase.len()..].chars().next();
        let is_word = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
        !is_word(before) && !is_word(after)
    })
}

#[test]
fn no_text_has_a_listed_phrase() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .expect("git lists what is committed");
    let names = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let mut read = 0;
    let mut found = Vec::new();
    for name in names.split_terminator('\0') {
        let Ok(text) = fs::read_to_string(root.join(name)) else {
            continue;
        };
        read += 1;
        if name == "tests/words.rs" {
            continue;
        }
        let flat = flat(&text);
        for (phrase, instead) in PHRASES {
            if has(&flat, phrase) {
                found.push(format!("{name}: \"{phrase}\": write \"{instead}\""));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(read > 500, "only {read} files were read");
}

#[test]
fn phrases_are_found_over_lines_and_as_whole_words() {
    let text = "/// It says\n    /// What it is\n/// at, as every driver does.";
    let flat = flat(text);
    assert!(has(&flat, "what it is at"), "{flat}");
    assert!(!has(&flat, "as ever"), "{flat}");
}
