// SPDX-License-Identifier: MIT
//! A system whose packages have files in `/bin`, `/lib` and `/sbin`, as Debian 12's have.
//! Its installer makes these folders links into `/usr`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use steps::Cx;

/// Moves what is in these folders of an unpacked system to `/usr`, and puts links in
/// their places.
pub(crate) fn merge(cx: &Cx, root: &Path) -> Result<()> {
    for name in ["bin", "lib", "sbin"] {
        let folder = root.join(name);
        if folder.is_symlink() || !folder.exists() {
            continue;
        }
        let merged = format!("usr/{name}");
        let to = root.join(&merged);
        fs::create_dir_all(&to)?;
        let mut copy = Command::new("cp");
        cx.run(copy.arg("-a").arg(folder.join(".")).arg(&to))?;
        fs::remove_dir_all(&folder)?;
        symlink(merged, folder)?;
    }
    Ok(())
}
