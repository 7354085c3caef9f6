// SPDX-License-Identifier: MIT
//! U-Boot as a guest, from Debian's source: `tests/u-boot` has the changes and the
//! configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use steps::{Cx, Key, Steps, files};
use xen_hooks::HookSet;

use super::kconfig;
use crate::debian::pins;
use crate::xen::{fetch, jobs};

/// The base of our configuration.
const DEFCONFIG: &str = "configs/qemu_arm64_defconfig";

/// Fetches and builds it. Returns the image's path and the step's key.
pub(crate) fn build(steps: &Steps) -> Result<(PathBuf, String)> {
    let ours = steps.dirs.root.join("tests/u-boot");
    let config = ours.join("guest.config");
    let folder = steps.dirs.target.join("u-boot");
    let source = folder.join("src");
    let pins = steps.pins("u-boot")?;

    let key = pins::key(&pins).file(&ours.join("hooks.toml"))?;
    let key = steps.run("u-boot source", key, &[&source], |cx| {
        let said = fetch::unpack(cx, &pins, &folder.join("download"), &source)?;
        HookSet::read(&[&ours], pins.version().to_owned(), &ours)?.apply(&source)?;
        Ok(said)
    })?;

    let image = steps.dirs.target.join("machine/u-boot.bin");
    let key = Key::default().text(key).file(&config)?;
    let key = steps.run("u-boot", key, &[&image], |cx| {
        let out = folder.join("build");
        configure(cx, &source, &config, &out)?;
        cx.run(
            kconfig::make(cx, &source, &out)?
                .arg(jobs())
                .arg("u-boot.bin"),
        )?;
        let size = fs::copy(out.join("u-boot.bin"), &image)?;
        Ok(format!("built, {} KiB", size >> 10))
    })?;
    Ok((image, key))
}

/// Makes the configuration, which must have every line of ours.
fn configure(cx: &Cx, source: &Path, config: &Path, out: &Path) -> Result<()> {
    files::empty(out)?;
    cx.run(
        Command::new("scripts/kconfig/merge_config.sh")
            .args(["-m", "-O"])
            .arg(out)
            .arg(DEFCONFIG)
            .arg(config)
            .current_dir(source),
    )?;
    cx.run(kconfig::make(cx, source, out)?.arg("olddefconfig"))?;
    kconfig::check(config, &out.join(".config"))
}
