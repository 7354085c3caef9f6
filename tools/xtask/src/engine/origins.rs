// SPDX-License-Identifier: MIT
//! Where pinned files may come from beside the store and the mirror.

use std::path::PathBuf;

/// Debian's archive of all that it ever served.
const SNAPSHOT: &str = "https://snapshot.debian.org/archive/debian";

/// What the command line says of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Origins {
    /// Take pinned files from this folder if it has them
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Ask Debian's snapshot archive for pinned files that no mirror has
    #[arg(
        long,
        global = true,
        value_name = "URL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = SNAPSHOT
    )]
    pub(crate) snapshot: Option<String>,
}
