// SPDX-License-Identifier: MIT
//! Commands of the documentation's pages, which scenarios run as they are written.

use anyhow::{Context, Result};

/// The n-th block of a kind in a page.
pub(crate) fn block(page: &str, kind: &str, number: usize) -> Result<String> {
    let start = format!("```{kind}\n");
    let rest = page.split(&start).nth(1 + number);
    let text = rest.and_then(|rest| rest.split("\n```").next());
    text.map(str::to_owned)
        .with_context(|| format!("a page has no block {number} of {kind}"))
}
