// SPDX-License-Identifier: MIT
//! xterm.js, as pinned by npm's lock file: the terminals of pages for browsers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use steps::{Dirs, Key, Steps};

/// The folder that npm installs it in.
pub(crate) fn folder(dirs: &Dirs) -> PathBuf {
    project(dirs).join("node_modules")
}

fn project(dirs: &Dirs) -> PathBuf {
    dirs.target.join("web-assets")
}

/// Fetches it by npm, unless it exists. Returns the folder.
pub(crate) fn fetch(steps: &Steps) -> Result<PathBuf> {
    let (project, modules) = (project(&steps.dirs), folder(&steps.dirs));
    let pins = ["package.json", "package-lock.json"].map(|name| {
        (
            name,
            steps.dirs.root.join("tools/vconsole-web/npm").join(name),
        )
    });
    let mut key = Key::default();
    for (_, pin) in &pins {
        key = key.file(pin)?;
    }
    steps.run("xterm.js", key, &[&modules], |cx| {
        for (name, pin) in &pins {
            steps::write(&project.join(name), std::fs::read(pin)?)?;
        }
        let words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        cx.run(Command::new("npm").args(words).current_dir(&project))?;
        Ok("as pinned".to_owned())
    })?;
    Ok(modules)
}
