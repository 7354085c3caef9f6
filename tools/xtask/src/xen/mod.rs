// SPDX-License-Identifier: MIT
//! `cargo xtask xen`: somebody's Xen tree, and ours.

mod hooks;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use self::hooks::HookSet;

/// What to do with a Xen tree.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Apply the hooks to a Xen source tree
    Apply {
        /// The tree: the folder that holds `xen/` and `tools/`
        #[arg(long, value_name = "DIR")]
        tree: PathBuf,
    },
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Apply { tree } => {
                let shim = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../hyp-shim"));
                let set = HookSet::for_tree(&shim, &tree)?;
                let (hooks, files) = set.apply(&tree)?;
                println!("Xen {}: {hooks} hooks applied, {files} files put in", set.version());
                Ok(())
            }
        }
    }
}
