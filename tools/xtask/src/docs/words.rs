// SPDX-License-Identifier: MIT
//! Spelling, by codespell. `tests/words.rs` looks for phrases.

use std::process::Command;

use anyhow::Result;
use steps::Steps;

use super::book;

/// Looks for misspelled words in every file that git lists (`.codespellrc`).
pub(crate) fn spelling(steps: &Steps) -> Result<()> {
    steps.always("spelling", |cx| {
        let files = book::tracked(cx, ".")?;
        cx.run(
            Command::new("codespell")
                .args(&files)
                .current_dir(&cx.dirs.root),
        )?;
        Ok(format!("{} files", files.len()))
    })
}
