// SPDX-License-Identifier: MIT
//! Keys of steps.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Everything that a result depends on.
#[derive(Clone, Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds a text, such as a version or another step's key.
    #[must_use]
    pub fn text(mut self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        // With its length, so that two parts cannot read as one.
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    /// Adds a file's contents.
    pub fn file(self, path: &Path) -> Result<Self> {
        let contents = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(self.text(contents))
    }

    /// The digest, in hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
            .finalize()
            .iter()
            .fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("a String takes any text");
                hex
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let key = |parts: &[&str]| parts.iter().fold(Key::default(), Key::text).finish();
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    }
}
