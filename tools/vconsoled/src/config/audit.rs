// SPDX-License-Identifier: MIT
//! The section `[audit]`: where the audit is stored.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::value;

/// Where the record of who was attached, and who was refused, is kept.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Audit::installed", rename_all = "kebab-case")]
pub struct Audit {
    /// In the journal.
    pub journal: bool,
    /// In a file whose lines are chained by hashes; there is none without it.
    #[serde(with = "value::optional_path")]
    pub file: Option<PathBuf>,
    /// So many lines that one user makes in each second, without a limit if 0.
    pub rate: u32,
    /// So many at once after a silence.
    pub burst: u32,
}

impl Audit {
    pub(super) fn installed() -> Self {
        Self {
            journal: true,
            file: None,
            rate: 20,
            burst: 1000,
        }
    }

    /// The folder of the file.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.file.as_deref().and_then(Path::parent)
    }
}
