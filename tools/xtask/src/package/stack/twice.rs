// SPDX-License-Identifier: MIT
//! The second build, which must give the same files: from a copy of the workspace in
//! another folder, in another folder of the system, with another host name, time zone,
//! umask and home, later, and without ccache. The system and the crates are the same.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use steps::{Busy, Cx, Dirs, Steps, files};
use tempfile::TempDir;

use super::builder::Builder;
use super::release::Release;
use super::{assembly, compare};
use crate::xen;

/// A copy of the workspace that is built beside it.
pub(super) struct Second {
    steps: Steps,
    /// The folder of the copy and its results, removed at the end.
    _place: TempDir,
}

impl Second {
    /// Copies the workspace and compares the object of the copy with that of the
    /// workspace, before anything long is built: what differs here differs there too.
    pub(super) fn prepare(steps: &Steps, release: &Release) -> Result<Self> {
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
            let count = copy(cx, &again.dirs.root)?;
            Ok(format!("{count} files"))
        })?;
        let objects = [xen::object(steps)?, xen::object(&again)?];
        let [one, other] = objects.each_ref().map(fs::read);
        if one? != other? {
            let kept = objects[0].with_file_name("core-again.o");
            fs::copy(&objects[1], &kept)?;
            let [one, other] = [objects[0].display(), kept.display()];
            let root = again.dirs.root.display();
            bail!("the object built in {root} differs: {other}, not {one}");
        }
        Ok(Self {
            steps: again,
            _place: place,
        })
    }

    /// Builds the repository of the copy, and compares it with a folder.
    pub(super) fn compare(
        &self,
        steps: &Steps,
        release: &Release,
        builder: &Builder,
        folder: &Path,
    ) -> Result<()> {
        let second = folder.with_file_name(format!("{}-again", release.name));
        assembly::make(&self.steps, release, &builder.again(), &second)?;
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
}

/// Copies the workspace's files, committed or not, but not what git ignores. Returns how
/// many there are.
fn copy(cx: &Cx, to: &Path) -> Result<usize> {
    let mut list = Command::new("git");
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let list = cx.output(list.current_dir(&cx.dirs.root))?;
    let mut count = 0;
    for name in list.split_terminator('\0') {
        let (from, to) = (cx.dirs.root.join(name), to.join(name));
        // Git still lists a file that was deleted and not committed.
        if from.exists() {
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            fs::copy(from, to)?;
            count += 1;
        }
    }
    Ok(count)
}
