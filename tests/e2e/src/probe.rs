// SPDX-License-Identifier: MIT
//! What the agent does inside a Linux guest.

use std::io::{self, Write};

use anyhow::Result;

use crate::pattern;

/// Writes `len` bytes of the pattern of `seed` to standard output.
pub fn pattern(seed: u32, len: usize) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&pattern::bytes(seed, len))?;
    out.flush()?;
    Ok(())
}
