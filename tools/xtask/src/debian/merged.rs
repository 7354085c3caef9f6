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

#[cfg(test)]
mod tests {
    use steps::{Busy, Dirs, Steps, write};

    use super::*;

    #[test]
    fn files_move_below_usr_and_are_still_found() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        for file in ["bin/sh", "lib/a/ours", "usr/bin/env", "usr/lib/a/theirs"] {
            write(&root.join(file), file).unwrap();
        }
        symlink("usr/sbin", root.join("sbin")).unwrap();
        let steps = Steps {
            dirs: Dirs {
                root: place.path().to_owned(),
                target: place.path().join("target"),
            },
            force: false,
            lock: place.path().join("pins.lock"),
            origins: pins::Origins::default(),
            busy: Busy::default(),
        };
        // The second time nothing is left to move.
        for _ in 0..2 {
            let merged = steps.value("merge", |cx| Ok(("merged".into(), merge(cx, &root)?)));
            merged.unwrap();
            for name in ["bin", "lib", "sbin"] {
                let to = fs::read_link(root.join(name)).unwrap();
                assert_eq!(to, Path::new("usr").join(name));
            }
            for file in ["bin/sh", "bin/env", "usr/lib/a/ours", "lib/a/theirs"] {
                assert!(root.join(file).exists(), "{file}");
            }
        }
    }
}
