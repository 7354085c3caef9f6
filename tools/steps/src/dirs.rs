// SPDX-License-Identifier: MIT
//! The workspace's folders, and ours under `target/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cargo;

/// The folders that steps read and write.
#[derive(Debug, Clone)]
pub struct Dirs {
    /// The workspace.
    pub root: PathBuf,
    /// Cargo's target folder; our caches are beside cargo's own.
    pub target: PathBuf,
}

impl Dirs {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and configuration apply.
    pub fn find() -> Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            workspace_root: PathBuf,
            target_directory: PathBuf,
        }
        let output = Command::new(cargo::program())
            .args([
                "metadata",
                "--no-deps",
                "--format-version=1",
                "--manifest-path",
            ])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .output()
            .context("running cargo metadata")?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
        })
    }

    /// The log file of a step or of a run.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.target.join("log").join(format!("{name}.log"))
    }
}
