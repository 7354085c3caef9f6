// SPDX-License-Identifier: MIT
//! Where things are: the workspace, and everything of ours under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::engine::cargo;

/// The folders that steps read and write.
#[derive(Debug, Clone)]
pub(crate) struct Dirs {
    /// The workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target folder; our caches are beside cargo's own.
    pub(crate) target: PathBuf,
}

impl Dirs {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and configuration count.
    pub(crate) fn find() -> Result<Self> {
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

    /// The folder `hyp-shim`.
    pub(crate) fn shim(&self) -> PathBuf {
        self.root.join("hyp-shim")
    }

    /// Xen trees: `src` as fetched, `4.17` with our hooks, `4.17-stock` without,
    /// and so on with the other versions.
    pub(crate) fn xen(&self, tree: &str) -> PathBuf {
        self.target.join("xen").join(tree)
    }

    /// What the emulated machine is booted with.
    pub(crate) fn machine(&self, name: impl AsRef<Path>) -> PathBuf {
        self.target.join("machine").join(name)
    }

    /// arm64 packages, unpacked: what we compile against and take libraries from.
    pub(crate) fn sysroot(&self) -> PathBuf {
        self.target.join("sysroot")
    }

    /// The log of a step or of a run.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.target.join("log").join(format!("{name}.log"))
    }
}
