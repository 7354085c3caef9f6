// SPDX-License-Identifier: MIT
//! Lines that match rules, against a model with the whole text at once.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::Config;

const RULES: [&str; 6] = [
    "panic",
    "login: $",
    "^a",
    "x{3}",
    "(?i)B$",
    "^[^\\x00-\\x7f]+$",
];

const UNLIMITED: Rate = Rate { lines: 0, burst: 0 };

fn watch() -> Watch {
    let rules = RULES.iter().enumerate();
    let tables = rules.map(|(at, rule)| format!("[[watch]]\nname = \"{at}\"\nmatch = '{rule}'\n"));
    let config = Config::parse(&tables.collect::<String>()).unwrap();
    Watch::new(&config.watch.of("web", "", "pv0"), &Watch::default())
}

/// The filter's output for some bytes, with a final incomplete sequence if `all`
/// is set.
fn filtered(bytes: &[u8], all: bool) -> String {
    let (mut filter, mut text) = (Filter::new(Policy::File), Vec::new());
    filter.push(bytes, &mut text);
    if all {
        filter.finish(&mut text);
    }
    String::from_utf8(text).unwrap()
}

/// The lines of a text, split where they are too long; the last is incomplete.
fn lines(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for letter in text.chars() {
        let line = lines.last_mut().unwrap();
        if letter == '\n' || letter == '\r' {
            lines.push(String::new());
        } else if line.len() + letter.len_utf8() > LINE_MAX {
            lines.push(letter.to_string());
        } else {
            line.push(letter);
        }
    }
    lines
}

/// Number of lines that match each rule: a line counts if it matches completely,
/// or if its part before one of the pauses matched.
fn model(bytes: &[u8], rests: &[usize]) -> Vec<u64> {
    let rules = RULES.map(|rule| {
        let mut builder = regex::bytes::RegexBuilder::new(rule);
        builder.unicode(false).build().unwrap()
    });
    let mut found = BTreeSet::new();
    let mut look = |number: usize, line: &str| {
        let rules = rules.iter().enumerate();
        let rules = rules.filter(|(_, rule)| !line.is_empty() && rule.is_match(line.as_bytes()));
        found.extend(rules.map(|(rule, _)| (rule, number)));
    };
    for (number, line) in lines(&filtered(bytes, true)).iter().enumerate() {
        look(number, line);
    }
    for rest in rests {
        let before = lines(&filtered(&bytes[..*rest], false));
        look(before.len() - 1, before.last().unwrap());
    }
    let count = |rule| found.iter().filter(|(of, _)| *of == rule).count() as u64;
    (0..RULES.len()).map(count).collect()
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            &b"pan"[..],
            b"ic",
            b"\n",
            b"\r\n",
            b"\r",
            b"web login: ",
            b"a",
            b"xx",
            b"B",
            b" ",
            b"\x1b[1m",
            b"\x1b",
            b"[0m",
            b"\x1b]0;panic\x07",
            b"\xff",
            b"\0",
        ])
        .prop_map(<[u8]>::to_vec),
        prop::sample::select(vec!["\u{fc}", "\u{1f427}"]).prop_map(|text| text.as_bytes().to_vec()),
        (1..3 * LINE_MAX).prop_map(|count| vec![b'y'; count]),
    ]
}

proptest! {
    /// Each rule matches the model's lines for any pieces and pauses of the
    /// output.
    #[test]
    fn rules_find_the_same_lines_however_output_is_cut(
        pieces in prop::collection::vec((piece(), any::<bool>()), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut bytes = Vec::new();
        let mut rests = BTreeSet::new();
        for (piece, rest) in pieces {
            bytes.extend(piece);
            if rest {
                rests.insert(bytes.len());
            }
        }
        let cuts = cuts.iter().map(|cut| cut.index(bytes.len() + 1));
        let cuts: BTreeSet<usize> = cuts.chain(rests.iter().copied()).chain([bytes.len()]).collect();
        let watch = watch();
        let mut watched = Lines::watched(watch.clone(), 7, "web", "pv0", UNLIMITED);
        let mut from = 0;
        for to in cuts {
            watched.take(&bytes[from..to]);
            from = to;
            if rests.contains(&to) {
                watched.look();
            }
        }
        watched.finish();
        let counts: Vec<u64> = watch.counts().map(|(_, count)| count).collect();
        let rests: Vec<usize> = rests.into_iter().collect();
        prop_assert_eq!(counts, model(&bytes, &rests));
        prop_assert!(watched.line.capacity() < 3 * LINE_MAX);
    }
}
