// SPDX-License-Identifier: MIT
//! The second build, which must give the same files: from a copy of the workspace in
//! another folder, in another folder of the system, with another host name, time zone,
//! umask and home, later, and without ccache. The system and the crates are the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use steps::{Busy, Dirs, Steps, files};

use super::builder::Builder;
use super::release::Release;
use super::{assembly, compare};
use crate::xen;

/// Builds the repository again and compares it.
pub(super) fn check(
    steps: &Steps,
    release: &Release,
    builder: &Builder,
    folder: &Path,
) -> Result<()> {
    // Not below the workspace: cargo would read the configuration of both.
    let place = tempfile::Builder::new().prefix("vpl011-again-").tempdir()?;
    let again = Steps {
        dirs: Dirs {
            root: place.path().join("a/copy"),
            target: place.path().join("built"),
        },
        force: steps.force,
        lock: steps.lock.clone(),
        origins: steps.origins.clone(),
        busy: Busy::default(),
    };
    steps.always(&release.step("copy of the workspace"), |cx| {
        let mut list = Command::new("git");
        list.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let list = cx.output(list.current_dir(&cx.dirs.root))?;
        let mut copied = 0;
        for name in list.split_terminator('\0') {
            let (from, to) = (cx.dirs.root.join(name), again.dirs.root.join(name));
            // A file that is deleted, and not yet for git.
            if from.exists() {
                fs::create_dir_all(to.parent().unwrap_or(&again.dirs.root))?;
                fs::copy(from, to)?;
                copied += 1;
            }
        }
        Ok(format!("{copied} files"))
    })?;
    // Before the long build: what differs here differs there too.
    let objects = [xen::object(steps)?, xen::object(&again)?];
    let [one, other] = objects.each_ref().map(fs::read);
    ensure!(
        one? == other?,
        "the hypervisor's object from another folder differs: {} and, built from {}, {}",
        objects[0].display(),
        again.dirs.root.display(),
        kept(steps, &objects[1])?.display()
    );
    let second = folder.with_file_name(format!("{}-again", release.name));
    assembly::make(&again, release, &builder.again(), &second)?;
    steps.always(&release.step("comparison"), |cx| {
        let differences = compare::differences(cx, folder, &second)?;
        ensure!(
            differences.is_empty(),
            "two builds differ, {} and {}:\n{}",
            folder.display(),
            second.display(),
            differences.join("\n")
        );
        let count = files::list(folder)?.len();
        Ok(format!("two builds gave the same {count} files"))
    })
}

/// A copy of a file that would be removed.
fn kept(steps: &Steps, file: &Path) -> Result<PathBuf> {
    let copy = steps.dirs.target.join("xen/core-again.o");
    fs::copy(file, &copy)?;
    Ok(copy)
}
