// SPDX-License-Identifier: MIT
//! `vconsole audit`: checks that an audit file is unchanged.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use console_proto::audit::{Chain, Check};

/// Checks the files of one chain, the oldest first; `wanted` is the hash of a line
/// that must be in them.
pub(crate) fn check(files: &[PathBuf], wanted: Option<&str>) -> anyhow::Result<()> {
    let mut check = Check::default();
    for path in files {
        let shown = path.display();
        let file = File::open(path).with_context(|| format!("{shown}"))?;
        let held = check.file(BufReader::new(file), wanted);
        if let Err(broken) = held.with_context(|| format!("{shown}"))? {
            bail!("{shown}: the chain is broken: {broken}");
        }
    }
    if wanted.is_some() && !check.found {
        bail!("no line has that hash: the end of the chain was removed or rewritten");
    }
    let mut out = std::io::stdout().lock();
    write!(out, "the chain holds: {} lines", check.lines)?;
    if let Some((first, last)) = &check.times {
        write!(out, ", from {first} to {last}")?;
    }
    writeln!(out)?;
    if let Some(Chain { number, hash }) = &check.last {
        writeln!(out, "the last one: number {number}, hash {hash}")?;
    }
    if check.torn > 0 {
        writeln!(
            out,
            "parts of lines that a daemon found at its start and marked: {}",
            check.torn
        )?;
    }
    if check.unfinished {
        writeln!(
            out,
            "after it: a partial line, as a killed daemon leaves it"
        )?;
    }
    Ok(())
}
