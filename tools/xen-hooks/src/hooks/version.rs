// SPDX-License-Identifier: MIT
//! The set of hooks for a tree.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The version (`4.17`) in a Xen tree's own makefile.
pub(super) fn tree_version(tree: &Path) -> Result<String> {
    let path = tree.join("xen/Makefile");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is no Xen tree: no xen/Makefile", tree.display()))?;
    let field = |name: &str| {
        text.lines()
            .filter_map(|line| line.strip_prefix("export "))
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim().to_owned())
            .with_context(|| format!("{} does not state {name}", path.display()))
    };
    Ok(format!(
        "{}.{}",
        field("XEN_VERSION")?,
        field("XEN_SUBVERSION")?
    ))
}

/// The versions of Xen that there are hooks for.
pub fn known_versions(shim: &Path) -> Result<Vec<String>> {
    let mut versions: Vec<String> = fs::read_dir(shim.join("hooks"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("xen-").map(str::to_owned))
        .collect();
    versions.sort();
    Ok(versions)
}
