// SPDX-License-Identifier: MIT
//! Prints the demo's outcome: both transcripts side by side, the figures, and every
//! check.

use e2e::report::Outcome;
use rustix::termios::tcgetwinsize;
use serde_json::Value;

/// The default width, and the least useful one, in columns.
const WIDTH: usize = 120;
const NARROW: usize = 60;

/// Prints everything. `consoles` describes each one and how it was opened: the UART,
/// and the PV console.
pub(crate) fn all(outcome: &Outcome, consoles: [&str; 2]) {
    let data = Value::Object(outcome.data.clone());
    let transcript = |console: &str| {
        data.pointer(&format!("/transcripts/{console}"))
            .and_then(Value::as_str)
            .unwrap_or("")
    };
    println!();
    for line in side_by_side(
        (consoles[0], transcript("vuart")),
        (consoles[1], transcript("pv")),
        width(),
    ) {
        println!("{line}");
    }
    println!();
    for line in figures(&data) {
        println!("{line}");
    }
    println!();
    for check in &outcome.checks {
        let mark = if check.pass { "ok    " } else { "FAILED" };
        println!("{mark}  {:<42} {}", check.id, check.detail);
    }
    println!();
    let seen = outcome.checks.iter().filter(|check| check.pass).count();
    println!(
        "{}: {seen} of {} checks passed",
        if outcome.pass {
            "The demo passed"
        } else {
            "The demo FAILED"
        },
        outcome.checks.len()
    );
}

fn width() -> usize {
    let columns = tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if columns < NARROW { WIDTH } else { columns }
}

/// Two texts in columns under their labels, in lines of `width` columns.
fn side_by_side(left: (&str, &str), right: (&str, &str), width: usize) -> Vec<String> {
    let column = (width - 3) / 2;
    let fold = |(label, text): (&str, &str)| {
        let mut lines = vec![label.to_owned(), "-".repeat(column)];
        lines.extend(plain(text).lines().flat_map(|line| fold_line(line, column)));
        lines
    };
    let (left, right) = (fold(left), fold(right));
    (0..left.len().max(right.len()))
        .map(|row| {
            let cell = |lines: &[String]| lines.get(row).cloned().unwrap_or_default();
            format!("{:<column$} | {}", cell(&left), cell(&right))
                .trim_end()
                .to_owned()
        })
        .collect()
}

fn fold_line(line: &str, column: usize) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    if characters.is_empty() {
        return vec![String::new()];
    }
    characters
        .chunks(column)
        .map(|part| part.iter().collect())
        .collect()
}

/// Text without control characters and escape sequences: a guest's output must not
/// control the terminal that shows it.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' if characters.as_str().starts_with('[') => {
                characters.find(|c| ('@'..='~').contains(c) && *c != '[');
            }
            '\t' => plain.push_str("    "),
            c if c == '\n' || !c.is_control() => plain.push(c),
            _ => {}
        }
    }
    plain
}

/// The table of the costs.
fn figures(data: &Value) -> Vec<String> {
    let at = |path: &str| match data.pointer(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let row = |name: &str, path: &str| {
        format!(
            "{name:<34} {:>12} {:>12}",
            at(&path.replace('*', "vuart")),
            at(&path.replace('*', "pv"))
        )
    };
    vec![
        format!("{:<34} {:>12} {:>12}", "", "ttyAMA0", "hvc0"),
        row("bytes from the guest", "/bytes/*/from_guest"),
        row("bytes to the guest", "/bytes/*/to_guest"),
        row("doorbells to the daemon", "/doorbells/*/in"),
        row("doorbells from the daemon", "/doorbells/*/out"),
        format!(
            "{:<34} {:>12}",
            "interrupts of the guest",
            at("/guest_interrupts")
        ),
        format!("{:<34} {}", "reported by the guest's driver", at("/driver")),
        format!("{:<34} {}", "served by", at("/served_by")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_lines_are_folded_within_their_column() {
        let lines = side_by_side(("a", "0123456789"), ("b", "x\ny\nz"), 13);
        assert_eq!(
            lines,
            [
                "a     | b",
                "----- | -----",
                "01234 | x",
                "56789 | y",
                "      | z"
            ]
        );
    }

    #[test]
    fn control_sequences_are_left_out() {
        assert_eq!(plain("\u{1b}[6na\u{1b}[1;31mb\u{7}\r\nc\u{1b}"), "ab\nc");
    }

    #[test]
    fn a_figure_that_is_missing_is_not_made_up() {
        let rows = figures(&json!({"bytes": {"vuart": {"from_guest": 12}}}));
        assert!(
            rows[1].contains("12") && rows[1].ends_with('-'),
            "{}",
            rows[1]
        );
        assert!(rows[7].ends_with('-'));
    }
}
