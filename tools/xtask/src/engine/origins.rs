// SPDX-License-Identifier: MIT
//! Where pinned files may come from beside the store and the mirror.

use std::path::PathBuf;

/// What the command line says of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Origins {
    /// Take pinned files from this folder if it has them
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Ask the snapshot archive at this address, such as Debian's, for pinned
    /// files that no mirror has
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) snapshot: Option<String>,
}
