// SPDX-License-Identifier: MIT
//! Our own programs for dom0 and the guest: static, for arm64.

use std::path::PathBuf;

use anyhow::Result;

use crate::engine::cargo;
use crate::engine::dirs::Dirs;
use crate::engine::step::{Key, Steps};

const TARGET: &str = "aarch64-unknown-linux-musl";

/// Builds packages of the workspace. Returns a key over the programs.
pub(crate) fn build(steps: &Steps, programs: &[&str]) -> Result<String> {
    let key = || {
        let key = programs.iter().try_fold(Key::default(), |key, program| {
            key.file(&path(&steps.dirs, program))
        })?;
        anyhow::Ok(key.finish())
    };
    steps.always(&format!("build {}", programs.join(", ")), |cx| {
        let before = key().ok();
        let mut build = cargo::locked("build");
        build.args(["--profile", "image", "--target", TARGET]);
        for program in programs {
            build.args(["--package", program]);
        }
        cx.run(build.current_dir(&cx.dirs.root))?;
        let now = key()?;
        let said = if before.as_ref() == Some(&now) {
            "unchanged"
        } else {
            "built for arm64"
        };
        Ok((said.into(), now))
    })
}

/// Where a program was built.
pub(crate) fn path(dirs: &Dirs, program: &str) -> PathBuf {
    dirs.target.join(TARGET).join("image").join(program)
}
