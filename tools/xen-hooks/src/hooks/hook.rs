// SPDX-License-Identifier: MIT
//! One hook: lines of ours at a place in a file.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

use super::conditions;

/// Lines inserted beside an anchor, or in its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hook {
    /// Names the hook in errors; unique in the set.
    pub(super) name: String,
    /// Path in the Xen tree.
    pub(super) file: PathBuf,
    /// Whole lines to find; exactly one of these is given.
    before: Option<String>,
    after: Option<String>,
    replace: Option<String>,
    delete: Option<String>,
    /// Whole lines after those of `delete`: all up to the first such are deleted too.
    through: Option<String>,
    /// The lines to insert, whole lines; none with `delete`.
    insert: Option<String>,
    /// The conditions of the preprocessor around the place, from the outermost, as
    /// written in their lines.
    #[serde(default)]
    within: Vec<String>,
    /// It replaces the hook with its name in the folders before.
    #[serde(default)]
    pub(super) instead: bool,
    /// The name of its file, without `.toml`.
    #[serde(skip)]
    pub(super) group: String,
}

impl Hook {
    /// Inserts as many blank lines instead; lines to be replaced or deleted stay.
    pub(super) fn blank(&mut self) {
        let lines = |text: &Option<String>| text.as_deref().map_or(0, |text| text.lines().count());
        let gone = self.replace.take().or_else(|| self.delete.take());
        self.through = None;
        let more = lines(&self.insert).saturating_sub(lines(&gone));
        self.insert = Some("\n".repeat(more));
        self.after = gone.or_else(|| self.after.take());
    }

    pub(super) fn apply_to(&self, text: &str) -> Result<String> {
        let (anchor, keeps_before, keeps_after) =
            match (&self.before, &self.after, &self.replace, &self.delete) {
                (Some(anchor), None, None, None) => (anchor, false, true),
                (None, Some(anchor), None, None) => (anchor, true, false),
                (None, None, Some(anchor), None) | (None, None, None, Some(anchor)) => {
                    (anchor, false, false)
                }
                _ => bail!("give exactly one of `before`, `after`, `replace` and `delete`"),
            };
        ensure!(
            self.insert.is_some() != self.delete.is_some(),
            "give `insert`, or `delete`"
        );
        ensure!(
            self.through.is_none() || self.delete.is_some(),
            "give `through` with `delete` only"
        );
        let anchor = anchor.trim_end_matches('\n');
        let at: Vec<usize> = places(text, anchor).collect();
        let &[at] = at.as_slice() else {
            bail!(
                "its anchor stands {} times in {}, and must stand exactly once: {anchor:?}",
                at.len(),
                self.file.display()
            );
        };
        let mut end = at + anchor.len();
        if let Some(through) = &self.through {
            let through = through.trim_end_matches('\n');
            let Some(last) = places(text, through).find(|last| *last > end) else {
                bail!(
                    "its `through` does not follow in {}: {through:?}",
                    self.file.display()
                );
            };
            end = last + through.len();
        }
        let end = (end + 1).min(text.len());
        let place = if keeps_before { end } else { at };
        self.check_conditions(&text[..place])?;
        let kept = |keeps: bool| if keeps { &text[at..end] } else { "" };
        let mut insert = self.insert.clone().unwrap_or_default();
        if !insert.is_empty() && !insert.ends_with('\n') {
            insert.push('\n');
        }
        Ok([
            &text[..at],
            kept(keeps_before),
            &insert,
            kept(keeps_after),
            &text[end..],
        ]
        .concat())
    }

    /// Checks that lines after `text` are compiled under the conditions that the hook
    /// lists.
    fn check_conditions(&self, text: &str) -> Result<()> {
        if !conditions::has_preprocessor(&self.file) {
            return Ok(());
        }
        let found = conditions::at_end(text);
        ensure!(
            found == self.within,
            "its place in {} stands under the conditions {found:?}, and the hook names {:?}",
            self.file.display(),
            self.within
        );
        Ok(())
    }
}

/// Where these whole lines stand.
fn places(text: &str, lines: &str) -> impl Iterator<Item = usize> {
    let found = text.match_indices(lines).map(|(at, _)| at);
    found.filter(move |&at| whole_lines(text, at, lines.len()))
}

/// Whether `text[at..at + len]` begins and ends at line breaks.
fn whole_lines(text: &str, at: usize, len: usize) -> bool {
    let starts = at == 0 || text.as_bytes()[at - 1] == b'\n';
    let ends = text
        .as_bytes()
        .get(at + len)
        .is_none_or(|&byte| byte == b'\n');
    starts && ends
}
