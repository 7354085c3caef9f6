// SPDX-License-Identifier: MIT
//! The host's second disk: a repository with the console daemon's package, and one with
//! the same package as of a newer version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Cx, Steps, files, write};

use crate::image::make_filesystem;
use crate::package::programs::ARM64;
use crate::package::{self, VCONSOLED};

/// The disk's size in MiB.
const SIZE: u32 = 64;

/// Makes the disk. Returns its file.
pub(super) fn make(steps: &Steps) -> Result<PathBuf> {
    let package = package::make(steps, &VCONSOLED, &ARM64)?;
    let folder = steps.dirs.target.join("install");
    let media = folder.join("media");
    let file = folder.join("media.img");
    steps.always("install media", |cx| {
        files::empty(&media)?;
        let now = media.join("now");
        fs::create_dir(&now)?;
        fs::copy(&package.file, now.join("vconsoled_arm64.deb"))?;
        let version = newer(cx, &package.file, &media.join("newer"))?;
        for folder in ["now", "newer"] {
            index(cx, &media.join(folder))?;
        }
        make_filesystem(cx, &media, SIZE, &file)?;
        Ok(format!("made, with vconsoled {version}"))
    })?;
    Ok(file)
}

/// Makes the package again, as of a newer version, in a folder. Returns the version.
fn newer(cx: &Cx, deb: &Path, folder: &Path) -> Result<String> {
    let unpacked = cx.dirs.target.join("tmp/newer");
    files::remove(&unpacked)?;
    cx.run(Command::new("dpkg-deb").arg("-R").arg(deb).arg(&unpacked))?;
    let control = unpacked.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let version = |line: &str| Some(line.strip_prefix("Version: ")?.to_owned());
    let version = text.lines().find_map(version).context("no version")?;
    let later = format!("{version}+newer");
    let [before, after] = [&version, &later].map(|version| format!("Version: {version}\n"));
    write(&control, text.replace(&before, &after))?;
    fs::create_dir_all(folder)?;
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Znone", "--build"]);
    cx.run(pack.arg(&unpacked).arg(folder.join("vconsoled_arm64.deb")))?;
    Ok(later)
}

/// Writes the index of a repository, which is not signed.
fn index(cx: &Cx, folder: &Path) -> Result<()> {
    let mut scan = Command::new("dpkg-scanpackages");
    let listed = cx.output(scan.arg(".").current_dir(folder))?;
    let packages = folder.join("Packages");
    write(&packages, &listed)?;
    let sum = cx.output(Command::new("sha256sum").arg(&packages))?;
    let (sum, _) = sum.split_once(' ').context("sha256sum gave no sum")?;
    let release = format!(
        "Codename: trixie\nArchitectures: arm64\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n\
         SHA256:\n {sum} {} Packages\n",
        listed.len()
    );
    write(&folder.join("Release"), release)
}
