// SPDX-License-Identifier: MIT
//! Totals of the checks.

use std::fmt;

use anyhow::{Error, Result};
use pins::Unavailable;

/// The most lines that are shown of a failed test's message.
const SAID: usize = 4;

/// Counts of one check, or of all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// The failures, with their messages.
    pub(crate) failures: Vec<String>,
    /// The skipped tests, and why.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    /// The count of one check that passes or fails.
    pub(crate) fn one(passed: bool) -> Self {
        Self {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            ..Self::default()
        }
    }

    /// The same for a step, with its error as the message.
    pub(crate) fn of<T>(name: &str, result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self::one(true),
            Err(error) => Self::kept(name, 1, error),
        }
    }

    /// The count of one check that cannot run here.
    pub(crate) fn skipped(name: &str, why: &str) -> Self {
        Self {
            skipped: vec![format!("{name}: {why}")],
            ..Self::default()
        }
    }

    /// The count of so many that could not run because of an error: skipped, if the
    /// error is a file that is no longer available.
    pub(crate) fn kept(name: &str, count: usize, error: &Error) -> Self {
        let mut tally = Self::default();
        if error.downcast_ref::<Unavailable>().is_some() {
            tally.skipped = vec![format!("{name}: {error:#}"); count];
        } else {
            println!("    FAILED {name}: {error:#}");
            tally.failed = count;
            tally.failures.push(name.to_owned());
        }
        tally
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.skipped.extend(other.skipped);
    }

    /// Adds up the totals that test programs print, and names the failed and the
    /// ignored tests.
    pub(crate) fn read(log: &str) -> Self {
        let mut tally = Self::default();
        let lines: Vec<&str> = log.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if let Some(sums) = line.strip_prefix("test result: ") {
                let figure = |what: &str| {
                    let (before, _) = sums.split_once(what)?;
                    before.split_whitespace().next_back()?.parse().ok()
                };
                tally.passed += figure(" passed").unwrap_or(0);
                tally.failed += figure(" failed").unwrap_or(0);
            } else if let Some(name) = failed(line) {
                let why = reason(&lines[at + 1..]);
                tally.failures.push(format!("{name}: {why}"));
            } else if let Some(test) = line.strip_prefix("test ")
                && let Some((name, why)) = test.split_once(" ... ignored")
            {
                tally.skipped.push(format!("{name}{why}"));
            }
        }
        tally
    }
}

/// The test whose failure message follows in a test program's output.
fn failed(line: &str) -> Option<&str> {
    let name = line.strip_prefix("---- ")?;
    name.strip_suffix(" stdout ----")
        .or(name.strip_suffix(" ----"))
}

/// The reason in the lines that follow: the panic, after any other output.
fn reason(lines: &[&str]) -> String {
    let ends = |line: &str| {
        failed(line).is_some() || line == "failures:" || line.starts_with("test result: ")
    };
    let mut said = lines.iter().copied().take_while(|line| !ends(line));
    let Some(first) = said.find(|line| line.contains(" panicked")) else {
        return "no panic; see the log".to_owned();
    };
    let rest = said.take_while(|line| !line.is_empty() && *line != "stack backtrace:");
    let said: Vec<&str> = std::iter::once(first).chain(rest).take(SAID).collect();
    said.join(" ")
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped.len() {
            0 => Ok(()),
            skipped => write!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_added_up() {
        let log = "running 3 tests\n\
                   test a ... ok\n\
                   test [as root] b ... ignored\n\
                   test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
                   test c ... ignored, no QEMU\n\
                   test result: FAILED. 4 passed; 5 failed; 1 ignored; 0 measured\n";
        let tally = Tally::read(log);
        assert_eq!((tally.passed, tally.failed), (6, 5));
        assert_eq!(tally.skipped, ["[as root] b", "c, no QEMU"]);
        assert_eq!(Tally::read("error: could not compile"), Tally::default());
    }

    #[test]
    fn tests_that_failed_are_named_with_their_reason() {
        let log = "test b ... FAILED\n\n\
                   failures:\n\n\
                   ---- b stdout ----\n\n\
                   printed before\n\n\
                   thread 'b' (7) panicked at tests/b.rs:1:5:\n\
                   left and right\n\
                   stack backtrace:\n   0: main\n\n\
                   ---- of its own kind ----\n\
                   test panicked: 57 s\n\n\n\
                   failures:\n    b\n    of its own kind\n\n\
                   test result: FAILED. 0 passed; 2 failed; 0 ignored\n";
        let tally = Tally::read(log);
        assert_eq!(tally.failed, 2);
        assert_eq!(
            tally.failures,
            [
                "b: thread 'b' (7) panicked at tests/b.rs:1:5: left and right",
                "of its own kind: test panicked: 57 s"
            ]
        );
    }

    #[test]
    fn the_last_line_has_its_form() {
        let mut tally = Tally {
            passed: 3,
            ..Tally::default()
        };
        assert_eq!(tally.to_string(), "3 passed, 0 failed");
        tally.skipped.push("b: no root".into());
        assert_eq!(tally.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
