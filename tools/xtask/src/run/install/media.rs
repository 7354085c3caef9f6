// SPDX-License-Identifier: MIT
//! The host's second disk, with repositories: for the daemon alone its package and the
//! same as of a newer version; for the stack all of ours, the same as of newer versions,
//! and Debian's own of Xen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use steps::{Cx, Steps, files, write};

use crate::image::{System, make_filesystem};
use crate::package::programs::ARM64;
use crate::package::{self, VCONSOLED};

/// The disk's size in MiB.
const SIZE: u32 = 64;

/// The origins of the indices: a host prefers ours.
const OURS: &str = "vpl011";
const DEBIAN: &str = "Debian";

/// Makes the disk of the daemon. Returns its file.
pub(super) fn make(steps: &Steps) -> Result<PathBuf> {
    let package = package::make(steps, &VCONSOLED, &ARM64)?;
    let folder = steps.dirs.target.join("install");
    let media = folder.join("media");
    let file = folder.join("media.img");
    steps.always("install media", |cx| {
        files::empty(&media)?;
        let now = media.join("now");
        fs::create_dir(&now)?;
        fs::copy(
            &package.file,
            now.join(package.file.file_name().context("no name")?),
        )?;
        let version = newer(cx, &package.file, &media.join("newer"))?;
        for folder in ["now", "newer"] {
            index(cx, &media.join(folder), OURS, System::Plain)?;
        }
        make_filesystem(cx, &media, SIZE, &file)?;
        Ok(format!("made, with vconsoled {version}"))
    })?;
    Ok(file)
}

/// Makes the disk of the stack, with the folders `ours`, `newer` and `debian`. Returns
/// its file.
pub(super) fn of_stack(steps: &Steps, system: System) -> Result<PathBuf> {
    let repository = system.release().repository(steps)?;
    let stock = system.xens(steps)?;
    let folder = steps.dirs.target.join("install");
    let media = folder.join("media-stack");
    let file = folder.join("stack.img");
    steps.always("install media, stack", |cx| {
        files::empty(&media)?;
        let [ours, next, debian] = ["ours", "newer", "debian"].map(|name| media.join(name));
        for folder in [&ours, &debian] {
            fs::create_dir(folder)?;
        }
        let mut made = 0;
        for from in files::list(&repository)? {
            fs::copy(&from, ours.join(from.file_name().context("no name")?))?;
            if from.extension().is_some_and(|kind| kind == "deb") {
                newer(cx, &from, &next)?;
                made += 1;
            }
        }
        for (pin, deb) in stock.0.iter().zip(cx.fetch(&stock)?) {
            fs::copy(deb, debian.join(pin.file()))?;
        }
        index(cx, &next, OURS, system)?;
        index(cx, &debian, DEBIAN, system)?;
        make_filesystem(cx, &media, SIZE, &file)?;
        Ok(format!(
            "made, {made} packages of ours and {} of Debian's",
            stock.0.len()
        ))
    })?;
    Ok(file)
}

/// Makes the package again, as of a newer version, in a folder. Returns the version.
fn newer(cx: &Cx, deb: &Path, folder: &Path) -> Result<String> {
    let unpacked = cx.dirs.target.join("tmp/newer");
    files::empty(&unpacked)?;
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
    let name = deb.file_name().context("no name")?;
    cx.run(pack.arg(&unpacked).arg(folder.join(name)))?;
    Ok(later)
}

/// Writes the index of a repository for a system, which is not signed.
fn index(cx: &Cx, folder: &Path, origin: &str, system: System) -> Result<()> {
    let mut scan = Command::new("dpkg-scanpackages");
    let listed = cx.output(scan.arg(".").current_dir(folder))?;
    let packages = folder.join("Packages");
    write(&packages, &listed)?;
    let sum = cx.output(Command::new("sha256sum").arg(&packages))?;
    let (sum, _) = sum.split_once(' ').context("sha256sum gave no sum")?;
    let release = format!(
        "Origin: {origin}\nSuite: {0}\nCodename: {0}\nArchitectures: arm64\n\
         Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {sum} {1} Packages\n",
        system.release().name,
        listed.len()
    );
    write(&folder.join("Release"), release)
}
