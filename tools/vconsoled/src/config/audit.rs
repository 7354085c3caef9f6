// SPDX-License-Identifier: MIT
//! The section `[audit]`: where the audit is stored.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::value;

/// Where attachments and refusals are recorded.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default = "Audit::installed", rename_all = "kebab-case")]
pub struct Audit {
    /// In the journal.
    pub journal: bool,
    /// In this file, whose lines are chained by hashes; none without it.
    #[serde(with = "value::optional_path")]
    pub file: Option<PathBuf>,
    /// Lines per second and user; no limit if 0.
    pub rate: u32,
    /// Lines at once after a pause.
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
