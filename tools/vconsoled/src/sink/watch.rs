// SPDX-License-Identifier: MIT
//! The watch rules for one console's output, and their match counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use regex::bytes::Regex;

use crate::config::WatchRule;

/// A set of rules: one bit for each of the console's rules.
pub(crate) type Found = u64;

/// The rules of a console.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Vec<Watched>);

/// One rule. The expression has one cache, regardless of the number of consoles.
#[derive(Clone, Debug)]
struct Watched {
    name: String,
    regex: Arc<Regex>,
    count: Arc<AtomicU64>,
}

impl Watch {
    /// The given rules. Rules with the same names as in `before` keep their counts.
    pub(crate) fn new(rules: &[&WatchRule], before: &Self) -> Self {
        let watched = |rule: &&WatchRule| {
            let name = rule.name.as_ref().to_owned();
            let same = before.0.iter().find(|one| one.name == name);
            Watched {
                regex: rule.regex(),
                count: same.map(|one| Arc::clone(&one.count)).unwrap_or_default(),
                name,
            }
        };
        Self(rules.iter().map(watched).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of matches of each rule.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&str, u64)> {
        let load = |one: &AtomicU64| one.load(Ordering::Relaxed);
        self.0
            .iter()
            .map(move |one| (one.name.as_str(), load(&one.count)))
    }

    /// Matches a line against the rules that are not in `known`, and counts the
    /// matches.
    pub(crate) fn look(&self, line: &str, known: Found) -> Found {
        let rules = self.0.iter().enumerate();
        let bit = |at: usize| 1 << at;
        let news =
            rules.filter(|(at, one)| known & bit(*at) == 0 && one.regex.is_match(line.as_bytes()));
        news.fold(0, |found, (at, one)| {
            one.count.fetch_add(1, Ordering::Relaxed);
            found | bit(at)
        })
    }

    /// The names of the rules in a set.
    pub(crate) fn names(&self, found: Found) -> impl Iterator<Item = &str> {
        let rules = self.0.iter().enumerate();
        let found = rules.filter(move |(at, _)| found & 1 << at != 0);
        found.map(|(_, one)| one.name.as_str())
    }
}
